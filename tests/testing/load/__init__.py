"""Tests of smx.testing.load."""
