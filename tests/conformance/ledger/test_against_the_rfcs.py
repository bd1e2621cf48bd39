"""The ledger against the words of the RFCs, where these are at hand: in SMX_RFC_DIR, or in shared/rfc beside the repository."""

import os
from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

from conformance.ledger import ANY_CASE, RFCS, Entry, Sentence, fingerprint, load, sentences
from conformance.ledger.markdown import is_markdown, plain
from conformance.ledger.sentences import RAW, key_words

FOLDER = Path(os.environ.get("SMX_RFC_DIR") or Path(__file__).resolve().parents[4] / "shared" / "rfc")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no texts of RFCs: set SMX_RFC_DIR to a folder with rfc5321.txt and others")


@cache
def text(rfc: int) -> str:
    path = FOLDER / f"rfc{rfc}.txt"
    if not path.exists():
        pytest.skip(f"no {path.name} among the texts of RFCs")
    return path.read_text(encoding="utf-8")


@cache
def found(rfc: int) -> tuple[Sentence, ...]:
    return sentences(text(rfc), any_case=rfc in ANY_CASE)


def numbered(rfc: int) -> dict[tuple[str, str], list[Entry]]:
    """The entries of each sentence with a key word, by section and number."""
    entries = [entry for entry in load(rfc) if not entry.number.startswith("n")]
    return {key: list(group) for key, group in groupby(entries, key=lambda e: (e.section, e.number))}


@pytest.mark.parametrize("rfc", RFCS)
def test_every_sentence_with_a_key_word_has_an_entry_and_no_entry_is_without_one(rfc: int) -> None:
    assert list(numbered(rfc)) == [(s.section, str(s.number)) for s in found(rfc) if s.levels]


@pytest.mark.parametrize("rfc", RFCS)
def test_every_fingerprint_is_that_of_its_sentence(rfc: int) -> None:
    of = {(s.section, str(s.number)): fingerprint(s.text) for s in found(rfc) if s.levels}
    wrong = [entry.id for key, entries in numbered(rfc).items() for entry in entries if entry.fingerprint != of.get(key)]
    assert wrong == []


@pytest.mark.parametrize("rfc", RFCS)
def test_the_entries_of_a_sentence_have_exactly_its_levels(rfc: int) -> None:
    of = {(s.section, str(s.number)): set(s.levels) for s in found(rfc) if s.levels}
    wrong = [entries[0].id for key, entries in numbered(rfc).items() if {entry.level for entry in entries} != of.get(key)]
    assert wrong == []


@pytest.mark.parametrize("rfc", RFCS)
def test_a_rule_without_a_key_word_has_the_fingerprint_of_such_a_sentence_of_its_section(rfc: int) -> None:
    known = {(s.section, fingerprint(s.text)) for s in found(rfc) if not s.levels}
    wrong = [entry.id for entry in load(rfc) if entry.number.startswith("n") and (entry.section, entry.fingerprint) not in known]
    assert wrong == []


@pytest.mark.parametrize("rfc", RFCS)
def test_no_paraphrase_is_a_sentence_of_the_rfc(rfc: int) -> None:
    words = " ".join(text(rfc).split()).lower()
    copied = [entry.id for entry in load(rfc) if len(entry.paraphrase.split()) > 6 and entry.paraphrase.lower() in words]
    assert copied == []


@pytest.mark.parametrize("rfc", [rfc for rfc in RFCS if rfc not in ANY_CASE])
def test_every_use_of_a_key_word_is_in_a_sentence(rfc: int) -> None:
    whole = plain(text(rfc)) if is_markdown(text(rfc)) else text(rfc)
    assert Counter(key_words(whole)) == Counter(level for s in found(rfc) for level in s.levels)


def test_rfc_5321_has_360_sentences_with_412_uses() -> None:
    """A plain search finds 422 uses: ten are in the paragraph that says what the key words mean. That paragraph, and another cut at abbreviations and
    at the items of lists, give other counts of sentences, up to 368."""
    normative = [s for s in found(5321) if s.levels]
    assert len(normative) == 360
    assert Counter(level for s in normative for level in s.levels) == {"MUST": 137, "MUST NOT": 62, "SHOULD": 121, "SHOULD NOT": 31, "MAY": 61}
    assert len(RAW.findall(text(5321))) == 412 + 10
