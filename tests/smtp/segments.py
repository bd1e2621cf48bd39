"""Cutting octets into segments, for the tests that claim that segmentation changes nothing."""

import itertools


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """`octets` in segments that begin at these places (modulo the length)."""
    edges = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    return [octets[start:end] for start, end in itertools.pairwise(edges)]


def singly(octets: bytes) -> list[bytes]:
    """One octet a segment."""
    return [octets[index : index + 1] for index in range(len(octets))]
