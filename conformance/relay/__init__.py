"""The target as a relay or gateway: the suite is both ends."""
