"""`python -m smx` is the smx command."""

import sys

from smx.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
