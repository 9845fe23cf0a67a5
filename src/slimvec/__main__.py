"""`python -m slimvec` is `slimvec`."""

from slimvec.cli import main

if __name__ == "__main__":  # processes that the data layer starts import this file too
    main()
