"""The engines that are timed, one small module each.

A module may import nothing of slimvec but what it measures, and at its top nothing that is not in every environment:
some engines run in environments of their own, where only they and numpy are installed.
"""
