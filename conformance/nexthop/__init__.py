"""How the target finds the next hop: the suite is its DNS, and the hosts behind it."""
