"""The target as a server: the suite is its client."""
