"""Grammar: the ABNF of RFC 5321 4.1.2 and 4.1.3, one regular expression a production, so that a single production can be changed.

A name in angle brackets stands for another production.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final, NamedTuple

PRODUCTIONS: Final[dict[str, str]] = {
    "let-dig": r"[A-Za-z0-9]",
    "ldh-str": r"[A-Za-z0-9-]*[A-Za-z0-9]",
    "sub-domain": r"(?:<let-dig>(?:<ldh-str>)?)",
    "domain": r"(?:<sub-domain>(?:\.<sub-domain>)*)",
    "atext": r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]",
    "atom": r"(?:<atext>+)",
    "dot-string": r"(?:<atom>(?:\.<atom>)*)",
    "qtext": r"[ !#-\[\]-~]",
    "quoted-pair": r"(?:\\[ -~])",
    "quoted-string": r'(?:"(?:<qtext>|<quoted-pair>)*")',
    "local-part": r"(?:<dot-string>|<quoted-string>)",
    "ipv4": r"(?P<ipv4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})",
    "ipv6": r"(?:[Ii][Pp][Vv]6:(?P<ipv6>[0-9A-Fa-f:.]+))",
    "literal": r"(?:\[(?:<ipv4>|<ipv6>)\])",
    "mailbox": r"(?P<local>(?:<local-part>))@(?P<domain>(?:<domain>|<literal>))",
    "route": r"(?P<route>@<domain>(?:,@<domain>)*:)",
    "null-path": r"<>",
    "path": r"<(?:<route>)?<mailbox>>",
    "postmaster": r"<(?P<postmaster>[Pp][Oo][Ss][Tt][Mm][Aa][Ss][Tt][Ee][Rr])>",
    "reverse-path": r"(?:<path>|<null-path>)",
    "forward-path": r"(?:<path>|<postmaster>)",
    "hello-name": r"(?:<domain>|<literal>)",
    "parameter": r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?",
    "from": r"(?i:FROM):",
    "to": r"(?i:TO):",
}
_REFERENCE: Final = re.compile(r"(?<!\?P)<([a-z][a-z0-9-]+)>")
_GROUP: Final = re.compile(r"\(\?P<(\w+)>")
_PAIR: Final = re.compile(r"\\(.)")


class Path(NamedTuple):
    """`local` without quotes and backslashes; `text` as it came, without brackets and route; all empty for the null path."""

    local: str = ""
    domain: str = ""
    text: str = ""
    route: str = ""


class Grammar:
    """`changes`: productions in place of those above. `checks_literals`: whether the numbers in an address literal are looked at."""

    def __init__(self, changes: Mapping[str, str] | None = None, *, checks_literals: bool = True) -> None:
        self._productions: Final = PRODUCTIONS | dict(changes or {})
        self._checks_literals: Final = checks_literals

    def pattern(self, name: str) -> re.Pattern[str]:
        """The production, expanded. A group that stands in it twice keeps its name the first time only."""
        text = self._productions[name]
        while _REFERENCE.search(text):
            text = _REFERENCE.sub(lambda match: self._productions[match[1]], text)
        for name in dict.fromkeys(_GROUP.findall(text)):
            first, group, rest = text.partition(f"(?P<{name}>")
            text = first + group + rest.replace(group, "(?:")
        return re.compile(text)

    @cached_property
    def _reverse(self) -> re.Pattern[str]:
        return self.pattern("reverse-path")

    @cached_property
    def _forward(self) -> re.Pattern[str]:
        return self.pattern("forward-path")

    @cached_property
    def _hello(self) -> re.Pattern[str]:
        return self.pattern("hello-name")

    @cached_property
    def _from(self) -> re.Pattern[str]:
        return self.pattern("from")

    @cached_property
    def _to(self) -> re.Pattern[str]:
        return self.pattern("to")

    @cached_property
    def _parameter(self) -> re.Pattern[str]:
        return self.pattern("parameter")

    def mail(self, argument: str) -> tuple[Path, str] | None:
        """The path after FROM: and what stands behind it; None when this is not the argument of MAIL."""
        return self._addressed(argument, self._from, self._reverse)

    def rcpt(self, argument: str) -> tuple[Path, str] | None:
        """The same for RCPT."""
        return self._addressed(argument, self._to, self._forward)

    def _addressed(self, argument: str, word: re.Pattern[str], path: re.Pattern[str]) -> tuple[Path, str] | None:
        begin = word.match(argument)
        found = begin and path.match(argument, begin.end())
        if not begin or not found or not self._literal_is_good(found):
            return None
        rest = argument[found.end() :]
        if rest and not rest.startswith(" "):
            return None
        return _path(found), rest

    def hello(self, argument: str) -> bool:
        """Whether this can stand after EHLO and HELO."""
        found = self._hello.fullmatch(argument)
        return found is not None and self._literal_is_good(found)

    def parameters(self, text: str) -> dict[str, str] | None:
        """Keyword in capitals -> value; None when the form is wrong."""
        found = [self._parameter.fullmatch(word) for word in text.split()]
        if not all(found):
            return None
        return {match["keyword"].upper(): match["value"] or "" for match in found if match}

    def _literal_is_good(self, found: re.Match[str]) -> bool:
        if not self._checks_literals:
            return True
        try:
            for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
                text = found.groupdict().get(kind.__name__[:4].lower())
                if text:
                    kind(text)
        except ValueError:
            return False
        return True


def _path(found: re.Match[str]) -> Path:
    groups = {name: text or "" for name, text in found.groupdict().items()}
    if groups.get("postmaster"):
        return Path("postmaster", "", groups["postmaster"])
    local = groups.get("local", "")
    bare = _PAIR.sub(r"\1", local[1:-1]) if local.startswith('"') else local
    return Path(bare, groups.get("domain", ""), f"{local}@{groups.get('domain', '')}" if local else "", groups.get("route", ""))
