"""Tests of the checkers: short histories made by hand, one that is silent and others that violate, for each invariant."""
