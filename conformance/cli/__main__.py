"""`python -m conformance.cli` is `smx-conformance`."""

from conformance.cli.main import main

if __name__ == "__main__":
    main()
