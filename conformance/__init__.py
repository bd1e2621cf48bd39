"""Conformance: a black-box, graded, RFC-cited suite for any SMTP server, client, relay and queue. It imports nothing of smx."""
