"""SMTPC, the SMTP client: one delivery is one transaction to one destination, with a verdict for each recipient."""
