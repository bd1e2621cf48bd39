"""Peers: the Internet around the machine: hosts that take mail, clients that bring it, and all who only make trouble."""
