"""Aliases: the syntax of the aliases file, and the expansion of an address (SX50, A7).

    name: target, target          a name is a local part, or an address (then it need not be local)
        , target                  a line that begins with white space goes on with the one before
    "john doe": john@example.org  names and targets may be quoted
    root: \\root, admin            a backslash, or the name itself, stops: that user gets the mail without further expansion
    owner-list: admin             errors of mail to `list` go to the owner (the reverse-path is changed, RFC 5321 3.9.2)
    sales: ${user}-${detail}@crm.example    parts of the address that was looked up (mailer_macros, SX51); in a domain only ${domain}
    # comment                     only where a line begins

Not supported: delivery to a program (`|command`) or file (`/path`) and `:include:`, because only an LMTP server delivers here; an
aliases file that has them is refused as a whole, with file and line.
"""

from typing import Final, NamedTuple

from smx.config.mailer_macros import ADDRESS, DOMAIN, MACRO_BEGIN, macros_in, with_values
from smx.limits import ALIAS_DEPTH_MAX, EXPANSION_RECIPIENTS_MAX, PATH_OCTETS_MAX
from smx.smar import rulings
from smx.smar.names import Name, macro_values, split, unquoted
from smx.smar.rulings import Ruling
from smx.smar.tables import Tables
from smx.smtp.address import quoted

FORM: Final = "expected `name: target, target`"
WHOLE: Final = f"{MACRO_BEGIN}{ADDRESS}}}"


class Entry(NamedTuple):
    """One alias as it stands in the file: `targets` still as text."""

    name: str
    targets: str
    line: int


class Target(NamedTuple):
    """Where an alias leads. `address` has a domain, or is a local part; `final`: not to be expanded."""

    address: str
    final: bool = False


# --- the file ---------------------------------------------------------------------------------------------------------------


def parse(text: str) -> tuple[tuple[Entry, ...], tuple[tuple[int, str], ...]]:
    """The entries of an aliases file, and what is wrong in it as (line, text)."""
    entries: dict[str, Entry] = {}
    problems: list[tuple[int, str]] = []
    for line, logical in logical_lines(text):
        try:
            entry = _entry(logical, line)
            if entry.name in entries:
                raise ValueError(f"{entry.name} stands in line {entries[entry.name].line} already")
            entries[entry.name] = entry
        except ValueError as error:
            problems.append((line, str(error)))
    return tuple(entries.values()), tuple(problems)


def logical_lines(text: str) -> list[tuple[int, str]]:
    """(number of the first line, text) of each logical line: comments and empty lines dropped, continuations joined."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and found:
            first, begun = found[-1]
            found[-1] = first, f"{begun} {line.strip()}"
        else:
            found.append((number, line.strip()))
    return found


def _entry(logical: str, line: int) -> Entry:
    parts = _split_outside_quotes(logical, ":", 1)
    if len(parts) < 2:
        raise ValueError(FORM)
    name = _name(parts[0].strip())
    targets = parts[1].strip()
    if not parse_targets(targets):
        raise ValueError(f"{name} has no target; {FORM}")
    return Entry(name, targets, line)


def _name(text: str) -> str:
    """The key of an alias: lower case, a local part without quotes, or local@domain."""
    target = _target(text)
    if target.final:
        raise ValueError(f"a name has no backslash; {FORM}")
    if MACRO_BEGIN in text:
        raise ValueError(f"a name has no macros: {text}")
    name = split(target.address.encode())
    return f"{name.local}@{name.domain}".lower() if name.domain else name.local.lower()


def parse_targets(text: str) -> tuple[Target, ...]:
    """The targets on the right-hand side; ValueError says what is wrong with one."""
    return tuple(_target(part.strip()) for part in _split_outside_quotes(text, ",") if part.strip())


def _target(text: str) -> Target:
    final = text.startswith("\\")
    text = text[1:] if final else text
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    bare = text.strip('"')
    if not bare:
        raise ValueError(f"an empty name; {FORM}")
    if bare.startswith("|"):
        raise ValueError(f"delivery to a program is not supported: {text}")
    if bare.startswith("/"):
        raise ValueError(f"delivery to a file is not supported: {text}")
    if bare.lower().startswith(":include:"):
        raise ValueError(f"included lists are not supported: {text}")
    local, at, domain = _cut_domain(text)
    macros_in(local)
    macros_in(domain, (DOMAIN,))
    if local.startswith('"') != local.endswith('"') or (not local.startswith('"') and any(letter in local for letter in ' \t"(),:;<>[\\')):
        raise ValueError(f"not an address: {text}")
    if not at:
        return Target(split(f"{local}@x".encode()).local if local.startswith('"') else local, final)
    name = split(f"{local}@{domain}".encode())
    if not domain or not name.local or any(letter in domain for letter in ' \t"(),;<>\\@') or ".." in domain or domain[0] in ".-":
        raise ValueError(f"not an address: {text}")
    return Target(joined(name.local, name.domain), final)


def _cut_domain(text: str) -> tuple[str, bool, str]:
    """(local part, whether there is an @, domain): the @ that counts is the last one outside of quotes."""
    end = text.rfind('"')
    at = text.rfind("@")
    return (text[:at], True, text[at + 1 :]) if at > end else (text, False, "")


def _split_outside_quotes(text: str, separator: str, most: int = -1) -> list[str]:
    parts, begin, inside, escaped = [], 0, False, False
    for at, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and inside:
            escaped = True
        elif letter == '"':
            inside = not inside
        elif letter == separator and not inside and most != 0:
            parts.append(text[begin:at])
            begin, most = at + 1, most - 1
    parts.append(text[begin:])
    return parts


# --- expansion --------------------------------------------------------------------------------------------------------------


class Expansion(NamedTuple):
    """What became of an alias: canonical addresses in the order of the file, each once; `owner` is the address for errors, or ""."""

    addresses: tuple[str, ...]
    owner: str


class _RefusedError(Exception):
    """The expansion cannot be used."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.text)
        self.ruling = ruling


def joined(local: str, domain: str) -> str:
    """The canonical address of the two parts, quoted where it must be."""
    return f"{quoted(local.encode()).decode()}@{domain}"


def folded(name: Name, *, local: bool) -> str:
    """What makes two addresses the same: local parts of local users fold case, those of others may not (RFC 5321 2.4)."""
    return f"{name.local.lower() if local else name.local}@{name.domain}"


def expand(tables: Tables, name: Name) -> Expansion | Ruling | None:
    """All members of the alias of this address; None when it has none, or only itself; a Ruling when it cannot be expanded.

    The aliases must be ready (tables.aliases_ready). Bounds: ALIAS_DEPTH_MAX, EXPANSION_RECIPIENTS_MAX.
    """
    local = tables.is_local(name.domain)
    found = tables.alias(name, local=local)
    if found is None:
        return None
    members: dict[str, str] = {}
    try:
        _walk(tables, name, found, members, set(), 1)
    except _RefusedError as refused:
        return refused.ruling
    if not members:
        return rulings.ALIAS_LOOP
    if list(members) == [folded(name, local=local)]:
        return None
    owner = tables.owner(found[0])
    return Expansion(tuple(members.values()), owner if "@" in owner or not owner else joined(owner, name.domain))


def _walk(tables: Tables, name: Name, found: tuple[str, str], members: dict[str, str], visited: set[str], depth: int) -> None:
    """Add the members of one alias; those that are aliases themselves are followed, none twice."""
    if depth > ALIAS_DEPTH_MAX:
        raise _RefusedError(rulings.ALIAS_DEEP)
    key, value = found
    own = folded(name, local=tables.is_local(name.domain))
    visited.add(own)
    tables.explain("alias", "{}: {}", key, value)
    for target in parse_targets(value):
        address = _member(tables, name, target.address)
        member = split(address.encode())
        local = tables.is_local(member.domain)
        same = folded(member, local=local)
        further = None if target.final or same == own else tables.alias(member, local=local)
        if further is not None and further != found:
            if same not in visited:
                _walk(tables, member, further, members, visited, depth + 1)
            else:
                tables.explain("alias", "{} was met before: not followed again", same)
        else:
            members.setdefault(same, address)
            if len(members) > EXPANSION_RECIPIENTS_MAX:
                raise _RefusedError(rulings.ALIAS_LARGE)


def _member(tables: Tables, name: Name, target: str) -> str:
    """The address of a target: in the home domain of the alias where it has none, with its macros filled in."""
    if MACRO_BEGIN not in target:
        return target if "@" in target else joined(target, _home(tables, name))
    values = macro_values(name, tables.settings.recipient_delimiter)
    local, at, domain = _cut_domain(target)
    if local.lower() == WHOLE and not at:
        return values[ADDRESS]
    local = with_values(unquoted(local) if local.startswith('"') else local, values)
    domain = with_values(domain, values) if at else _home(tables, name)
    address = joined(local, domain)
    if not local or len(address.encode()) + len("<>") > PATH_OCTETS_MAX:
        raise _RefusedError(rulings.UNKNOWN_USER)
    return address


def _home(tables: Tables, name: Name) -> str:
    """The domain of a target that is only a name: that of the alias where it is local, else our own."""
    return name.domain if tables.is_local(name.domain) else tables.hostname
