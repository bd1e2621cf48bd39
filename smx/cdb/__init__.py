"""CDB, the content database: append-only segments of message content, one writer each (SX09, A5)."""
