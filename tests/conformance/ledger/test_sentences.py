"""The extractor on made-up text, in the forms in which RFCs come."""

import pytest

from conformance.ledger.markdown import plain
from conformance.ledger.sentences import fingerprint, key_words, sentences

RFC = """\
Table of Contents

   1.  Posting . . . . . . . . . . . . . . . . . . . . . . . . . . . .  2

1.  Posting

   A letter MUST have a stamp.  A card (e.g., a Christmas
   card) SHOULD have one, and a parcel MAY, too.  Stamps are small.

   The key words "MUST" and "SHOULD NOT" are
   no words of ours.

1.1.  Boxes

   A box that has no first-
   class slot MUST NOT

Postmaster                  Standards Track                     [Page 2]
\f
RFC 99999                        Letters                       July 1901

   be red.  See section 1. 7 boxes are REQUIRED.  The following
   MUST be emptied:

   o  boxes

   o  bags, which SHALL
      be dry

   1.  Trains are OPTIONAL.

      letter = stamp  ; MUST be stuck on
                      ; the letter; SHOULD NOT fall off
      stamp  = ";"

   |Item   |Level  |
   |card   |SHOULD |
   |parcel |MAY    |

Appendix B.  Horses

   Horses SHOULD NOT be used.
"""


def found(text: str = RFC, *, any_case: bool = False) -> list[tuple[str, int, str, tuple[str, ...]]]:
    return [(s.section, s.number, s.text, s.levels) for s in sentences(text, any_case=any_case) if s.levels]


def test_each_sentence_with_a_key_word_has_section_number_words_and_levels() -> None:
    assert found() == [
        ("1", 1, "A letter MUST have a stamp.", ("MUST",)),
        ("1", 2, "A card (e.g., a Christmas card) SHOULD have one, and a parcel MAY, too.", ("SHOULD", "MAY")),
        ("1.1", 1, "A box that has no first-class slot MUST NOT be red.", ("MUST NOT",)),
        ("1.1", 2, "7 boxes are REQUIRED.", ("MUST",)),
        ("1.1", 3, "The following MUST be emptied:", ("MUST",)),
        ("1.1", 4, "bags, which SHALL be dry", ("MUST",)),
        ("1.1", 5, "Trains are OPTIONAL.", ("MAY",)),
        ("1.1", 6, "MUST be stuck on the letter; SHOULD NOT fall off", ("MUST", "SHOULD NOT")),
        ("1.1", 7, "|card |SHOULD |", ("SHOULD",)),
        ("1.1", 8, "|parcel |MAY |", ("MAY",)),
        ("B", 1, "Horses SHOULD NOT be used.", ("SHOULD NOT",)),
    ]


def test_a_sentence_without_a_key_word_has_the_number_zero() -> None:
    assert [(s.section, s.number) for s in sentences(RFC) if s.text == "Stamps are small."] == [("1", 0)]


def test_a_page_break_does_not_change_a_fingerprint() -> None:
    whole = sentences("1.  A\n\n   A box MUST NOT be red.\n")[0]
    broken = sentences("1.  A\n\n   A box MUST\n\nA. Clerk            Standards Track     [Page 1]\n\f\nRFC 1     Red    May 1901\n\n   NOT be red.\n")[0]
    assert fingerprint(whole.text) == fingerprint(broken.text) == fingerprint("A  box\nMUST NOT be red.")


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("You must and you MUST", ("MUST",)),
        ('say "MUST NOT" or "MAY"', ()),
        ("SHALL NOT, NOT RECOMMENDED, RECOMMENDED, OPTIONAL", ("MUST NOT", "SHOULD NOT", "SHOULD", "MAY")),
        ("MUST\n   NOT", ("MUST NOT",)),
        ("MUSTARD", ()),
    ],
)
def test_key_words_are_capitals_between_no_quotation_marks(text: str, levels: tuple[str, ...]) -> None:
    assert key_words(text) == levels


def test_older_rfcs_have_key_words_without_capitals() -> None:
    assert found("    2.  Old\n\n   It shall do, may not fail, and should not wait.\n", any_case=True) == [
        ("2", 1, "It shall do, may not fail, and should not wait.", ("MUST", "MUST NOT", "SHOULD NOT")),
    ]


def test_markdown_becomes_the_text_that_it_stands_for() -> None:
    text = (
        "::: {#section-4.1 .section}\n"
        "### [4.1.](#section-4.1){.section-number .selfRef} [Stamps](#name-stamps){.section-name .selfRef} {#name-stamps}\n\n"
        "The server\\'s stamp [MUST NOT]{.bcp14} fall off, see [Section\n"
        "3.6](https://www.example.org/){.relref} of \\[[RFC1](#RFC1){.xref}\\].[¶](#section-4.1-1){.pilcrow}\n\n"
        "1.  [It [MAY]{.bcp14} be red.[¶](#section-4.1-2.1){.pilcrow}]{#section-4.1-2.1}\n:::\n"
    )
    assert plain(text).splitlines()[1].rstrip() == "4.1.  Stamps"
    assert found(text) == [
        ("4.1", 1, "The server's stamp MUST NOT fall off, see Section 3.6 of [RFC1].", ("MUST NOT",)),
        ("4.1", 2, "It MAY be red.", ("MAY",)),
    ]
