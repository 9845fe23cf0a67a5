"""`python -m slimvec` is `slimvec`."""

from slimvec.cli import main

main()
