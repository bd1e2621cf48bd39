"""Split the text of an RFC into sentences, each with its section, and find those that use a key word of RFC 2119.

The ledger holds a fingerprint of each sentence and never its words, so the split must give the same sentence whatever the copy of the RFC looks like: page
breaks, indentation and white space do not count. The steps are: sections by their headings, blocks (a paragraph, an item of a list, the comments of a grammar),
sentences of a block.

A key word between quotation marks is a mention, not a use: the paragraph that says how the key words are meant is no requirement. `RAW` finds mentions too.
RFCs 1870, 2034 and 6152 write key words without capitals: there `any_case` takes `must` for a `MUST`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec

from conformance.ledger.markdown import is_markdown, plain

LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
# RFC 2119 sections 1-5: the synonyms.
SYNONYMS = {
    "REQUIRED": "MUST",
    "SHALL": "MUST",
    "SHALL NOT": "MUST NOT",
    "RECOMMENDED": "SHOULD",
    "NOT RECOMMENDED": "SHOULD NOT",
    "OPTIONAL": "MAY",
    "MAY NOT": "MUST NOT",  # only in the RFCs without capitals
}
ANY_CASE = frozenset((1870, 2034, 6152))

RAW = re.compile(r"\b(?:MUST(?:\s+NOT)?|SHALL(?:\s+NOT)?|SHOULD(?:\s+NOT)?|(?:NOT\s+)?RECOMMENDED|REQUIRED|MAY|OPTIONAL)\b")
_LOWER = re.compile(r"\b(?:must|shall|should|may)(?:\s+not)?\b", re.IGNORECASE)
_MENTION = re.compile(r'"(?:MUST|SHALL|SHOULD|MAY|REQUIRED|RECOMMENDED|OPTIONAL|NOT|\s|,)+"')

_HEADING = re.compile(r"(?:Appendix\s+([A-Z])(?=[\s.])|(\d+(?:\.\d+)*)\.?\s+(?=\S)|([A-Z](?:\.\d+)+)\.?\s+(?=\S))")
_INDENTED = re.compile(r" {4}()(\d)\.\s+(?=[A-Z])")  # the first headings of some older RFCs
_CONTENTS = re.compile(r"(?:\. ?){3,}\s*\d*\s*$")
_FURNITURE = re.compile(r"^RFC \d+ .*\d{4}$|^.*\[Page \w+\]$|^\s*[A-Z][\w., ]*\s{3,}(?:Standards Track|Best Current Practice)$")
_ITEM = re.compile(r"\s*([o*+-]|\(\d{1,2}\)|\d{1,2}[.)]|\(?[a-z][.)])\s+\S")
_RULE = re.compile(r"\s*[A-Za-z][\w-]*\s*(?:=/?|::=)\s+\S")
_ROW = re.compile(r"\s*\|.*\|\s*$")
_END = re.compile(r"""(?<=[.!?])(["')\]]*)\s+(?=["'(<\[]*[A-Z0-9])""")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|et al|Sec|No|Inc|St|Dr)|\b[A-Z])\.$")
_CLOSED = (".", ":", ";", "?", "!", ")", ">", '"', ",", " or", " and", "|", "+")  # what a paragraph or an item may end with
_COMMENT = re.compile(r'(?:[^;"<]|"[^"]*"|<[^>]*>)*;+(.*)')


class Sentence(msgspec.Struct, frozen=True):
    """One sentence. `number` counts the sentences of the section that use a key word, from 1; 0: it uses none. `levels`: of each use, in order."""

    section: str
    number: int
    text: str
    levels: tuple[str, ...]


def fingerprint(text: str) -> str:
    """blake2b of 64 bits, in hexadecimal, of the sentence with each run of white space made one space."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=8).hexdigest()


def key_words(text: str, *, any_case: bool = False) -> tuple[str, ...]:
    """The level of each use of a key word in `text`, in order: one of LEVELS."""
    pattern = _LOWER if any_case else RAW
    found = (" ".join(match.upper().split()) for match in pattern.findall(_MENTION.sub('""', text)))
    return tuple(SYNONYMS.get(word, word) for word in found)


def sentences(text: str, *, any_case: bool = False) -> tuple[Sentence, ...]:
    """All sentences of an RFC in the order of its text."""
    result = []
    numbers: dict[str, int] = {}
    for section, lines in _sections(plain(text) if is_markdown(text) else text):
        if not section:
            continue  # what stands before the first heading is about the document
        for block in _blocks(lines):
            for words in _split(block):
                levels = key_words(words, any_case=any_case)
                number = numbers[section] = numbers.get(section, 0) + 1 if levels else numbers.get(section, 0)
                result.append(Sentence(section, number if levels else 0, words, levels))
    return tuple(result)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """(number of the section, its lines without the heading). What stands before the first heading has the number ''."""
    section, lines = "", list[str]()
    for line in text.replace("\f", "\n").splitlines():
        line = line.rstrip()
        if _FURNITURE.match(line):
            line = ""
        heading = None if _CONTENTS.search(line) else _HEADING.match(line) or (not section and _INDENTED.match(line))
        if heading:
            yield section, lines
            section, lines = heading[1] or heading[2] or heading[3], []
        else:
            lines.append(line)
    yield section, lines


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """The blocks of a section, each in one line, without the mark of a list item. Where a page break divides a paragraph its parts are joined again."""
    pending, edge = "", 0
    for block in _raw_blocks(lines):
        grammar = any(_RULE.match(line) for line in block) or block[0].lstrip().startswith(";")
        item = _ITEM.match(block[0])
        text = _comments(block) if grammar else _join(block)[len(item[1]) if item else 0 :].strip()
        starts = grammar or item or text.startswith(("Note:", "NOTE:"))
        goes_on = pending and not starts and _indent(block[0]) == edge and (text[:1].islower() or not pending.endswith(_CLOSED))
        if goes_on and not pending.endswith((".", ":")):
            pending = _join((pending, text))
        else:
            yield pending
            pending = text
        edge = _indent(block[-1])
    yield pending


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _raw_blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Runs of lines between empty lines; an item of a list and a row of a table begin a run too."""
    block: list[str] = []
    for line in lines:
        ended = not block or block[-1].endswith((".", ":", ";", ",", ")", '"', "or", "and"))
        if not line.strip() or _ROW.match(line) or (_ITEM.match(line) and ended):
            if block:
                yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def _comments(block: Iterable[str]) -> str:
    """The prose of a grammar: what follows the semicolons, and lines that go on with it."""
    prose, within = [], False
    for line in block:
        comment = _COMMENT.match(line)
        if comment:
            prose.append(comment[1])
        elif within and not _RULE.match(line) and line.startswith("                 "):
            prose.append(line)
        within = comment is not None
    return _join(prose)


def _join(lines: Iterable[str]) -> str:
    """The lines as one, words that a line end divides at their hyphen put together."""
    return re.sub(r"(?<=\w-) (?=\w)", "", " ".join(" ".join(lines).split()))


def _split(block: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(block):
        end = match.end(1)
        if not _ABBREVIATION.search(block[start : match.start(1)]):
            yield block[start:end]
            start = match.end()
    if block[start:]:
        yield block[start:]
