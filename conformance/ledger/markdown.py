"""Make plain text of an RFC that is kept as Markdown: headings as in the plain form, references, marks and attributes gone.

Some RFCs of the newer format are at hand only so. What is left has the same sentences as the plain form.
"""

import re

_HEADING = re.compile(r"^#+ \[((?:Appendix )?[A-Z0-9.]+)\]\(#[^)]*\)\{[^}]*\}\s*(.*)$")
_STEPS = (
    (re.compile(r"^ *:::.*$", re.MULTILINE), ""),  # the fences of sections and lists
    (re.compile(r"\[¶\]\([^)]*\)\{[^}]*\}"), ""),  # the mark at the end of each paragraph
    (re.compile(r"\{[#.][^}]*\}"), ""),  # attributes
    (re.compile(r"\\([\[\]\"'<>*_#|~.-])"), r"⟦\1⟧"),  # escaped: kept as text until the links are gone
    (re.compile(r"\]\([^)\s]*\)"), "]"),  # the target of a link
)
_BRACKETED = re.compile(r"(?<!⟦)\[((?:[^\[\]]|⟦[\[\]]⟧)*)\](?!⟧)")


def is_markdown(text: str) -> bool:
    return text.lstrip().startswith((":::", "---", "#")) or "{.pilcrow}" in text


def plain(text: str) -> str:
    """The text with headings like `4.1.  Title` and nothing of Markdown besides the marks of lists."""
    lines = []
    for line in text.splitlines():
        heading = _HEADING.match(line)
        lines.append(f"{heading[1].rstrip('.')}.  {heading[2]}" if heading else f"   {line}".rstrip())
    text = "\n".join(lines)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    while (shorter := _BRACKETED.sub(r"\1", text)) != text:
        text = shorter
    return re.sub(r"⟦(.)⟧", r"\1", text)
