"""The reference: server, client, next hop and queue in one object."""

from tests.conformance.reference.queue import Queue


class Reference(Queue):
    """By the letter of RFC 5321; what is free there is as simple as can be."""
