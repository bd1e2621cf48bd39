"""The ledger: each sentence of the RFCs that uses a key word, in our words, with the cases that test it or the reason why none does.

Data: `rfcNNNN.toml`, a list of entries (`entry.py`). The words of the RFCs are not here: an entry has the fingerprint of its sentence (`sentences.py`), so that
a test can compare the ledger with the text where it is at hand. Cases name the entries they test; what is covered is computed from that (`coverage.py`).
"""

from conformance.ledger.coverage import Coverage, Line, Row, as_json, as_table, contradictions, coverage, missing, overgraded, unknown
from conformance.ledger.entry import KINDS, PARTIES, RFCS, TITLES, CaseLike, Entry, faults
from conformance.ledger.load import by_id, load
from conformance.ledger.sentences import ANY_CASE, LEVELS, Sentence, fingerprint, sentences

__all__ = [
    "ANY_CASE",
    "KINDS",
    "LEVELS",
    "PARTIES",
    "RFCS",
    "TITLES",
    "CaseLike",
    "Coverage",
    "Entry",
    "Line",
    "Row",
    "Sentence",
    "as_json",
    "as_table",
    "by_id",
    "contradictions",
    "coverage",
    "faults",
    "fingerprint",
    "load",
    "missing",
    "overgraded",
    "sentences",
    "unknown",
]
