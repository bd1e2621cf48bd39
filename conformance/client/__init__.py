"""The target as a client: the suite is the server that it sends to, and misbehaves."""
