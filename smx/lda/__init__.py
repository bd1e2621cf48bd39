"""LDA, the local delivery agent: an LMTP server that writes Maildirs (SX53)."""
