"""The command line: one thin file a command. Nothing heavy is imported before a command needs it."""

from slimvec.cli.app import main

__all__ = ["main"]
