"""The command `smx-conformance`."""
