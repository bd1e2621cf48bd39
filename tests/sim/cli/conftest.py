"""The toy study and the command, for every test here."""

from tests.sim.cli.toy import smx_sim, toy

__all__ = ["smx_sim", "toy"]
