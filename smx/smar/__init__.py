"""SMAR, the address resolver: which recipients are valid, and where mail goes."""
