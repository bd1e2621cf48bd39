"""SMTPS, the SMTP server: sessions, transactions, and the path to the 250 (architecture 2)."""
