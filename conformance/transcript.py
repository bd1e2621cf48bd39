"""Transcript: what was said in a case, line by line, as the reports show it. Made from actions and results, so it is the same on every wire."""

from typing import Any, Final

from msgspec import Struct

from conformance import wire

SHOWN_OCTETS_MAX: Final = 1500
ENTRIES_MAX: Final = 2000
TO_TARGET: Final = ">"
FROM_TARGET: Final = "<"
EVENT: Final = "*"


class Entry(Struct, frozen=True):
    """`at_s`: since the case began. `arrow`: TO_TARGET, FROM_TARGET or EVENT. `text`: octets with what cannot be printed escaped; a line each."""

    at_s: float
    connection: int
    arrow: str
    text: str


def entries(at_s: float, action: wire.Action, result: Any) -> list[Entry]:
    """What an action and its result leave in the transcript."""
    match action, result:
        case wire.Send(connection, octets), _:
            return _octets(at_s, connection, TO_TARGET, octets)
        case wire.Receive(connection, timeout_s), wire.Received(octets, end):
            found = _octets(at_s, connection, FROM_TARGET, octets)
            if end:
                found.append(Entry(at_s, connection, EVENT, f"nothing for {timeout_s:g} s" if end == wire.TIMEOUT else f"{end} by the target"))
            return found
    text = _told(action, result)
    return [Entry(at_s, _connection(action, result), EVENT, text)] if text else []


def _told(action: wire.Action, result: Any) -> str:
    match action, result:
        case wire.Open(service, source), wire.Opened(connection, reason):
            return f"connect to {service}{' from ' * bool(source)}{source}" + (f": {reason}" if not connection else "")
        case wire.Close(_, how), _:
            return {wire.CLOSE: "close", wire.HALF: "half close"}.get(how, how)
        case wire.StartTls(_, certificate), wire.Secured(reason, version):
            return f"TLS handshake ({certificate}): {reason or version}"
        case wire.Listen(host), address:
            return f"accept at {host} ({address})"
        case wire.Unlisten(host), _:
            return f"refuse at {host}"
        case wire.Accept(hosts, timeout_s), None:
            return f"no connection to {', '.join(hosts)} for {timeout_s:g} s"
        case wire.Accept(), wire.Accepted(_, host, peer):
            return f"the target connects to {host}{' from ' * bool(peer)}{peer}"
        case wire.SetZone(records), _:
            return "DNS: " + "; ".join(f"{record.name} {record.rrtype} {record.data}" for record in records)
        case wire.Queries(), found:
            return "asked of the DNS: " + (", ".join(f"{query.name} {query.rrtype}" for query in found) or "nothing")
        case wire.Look(recipient, _), found:
            return f"{len(found)} messages for {recipient}" + "".join(f"\n{_escaped(message)}" for message in found)
        case wire.Control(hook, argument), wire.Controlled(status, output):
            return f"{hook} {argument}".rstrip() + f": status {status} {output}".rstrip()
        case wire.Wait(seconds), _:
            return f"wait {seconds:g} s" if seconds >= 0.1 else ""
        case wire.Remark(text, outcome), _:
            return f"{outcome}: {text}" if outcome else text
    return ""


def _connection(action: wire.Action, result: Any) -> int:
    number: int = getattr(action, "connection", 0) or getattr(result, "connection", 0)
    return number


def _octets(at_s: float, connection: int, arrow: str, octets: bytes) -> list[Entry]:
    lines = octets.splitlines(keepends=True) if len(octets) <= SHOWN_OCTETS_MAX else [*octets[:SHOWN_OCTETS_MAX].splitlines(keepends=True), b""]
    found = [Entry(at_s, connection, arrow, _escaped(line)) for line in lines if line]
    if len(octets) > SHOWN_OCTETS_MAX:
        found.append(Entry(at_s, connection, arrow, f"... {len(octets)} octets in all"))
    return found


def _escaped(octets: bytes) -> str:
    return repr(octets.removesuffix(b"\r\n"))[2:-1].replace("\\'", "'").replace("\\\\", "\\") + (
        "" if octets.endswith(b"\r\n") else "" if b"\n" in octets else " (no CRLF)"
    )


def printable(text: str) -> str:
    """With control characters escaped: what a target says must not reach a terminal, or XML, as it is."""
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)


def as_text(found: tuple[Entry, ...]) -> str:
    """For a console."""
    return "\n".join(f"{entry.at_s:8.3f}  {entry.connection or ' ':>2} {entry.arrow} {entry.text}" for entry in found)
