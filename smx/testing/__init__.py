"""Testing: a whole MTA, a scripted peer, a DNS and a PKI for tests, as pytest fixtures (BX20)."""
