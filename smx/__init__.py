"""smx: a readable mail transfer agent after the design of Sendmail X."""

__version__ = "0.1.0"
