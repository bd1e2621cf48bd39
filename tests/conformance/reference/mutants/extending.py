"""Extensions as the client uses them (RFC 1870, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689)."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable, Generator
from typing import Any, Final

from tests.conformance.reference.dialogue import SECURED, Ask, Part, Transfer, Verdicts
from tests.conformance.reference.grammar import Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.mutants.sending import Said, behind
from tests.conformance.reference.server import CRLF


def _always(text: str) -> Callable[..., str]:
    return altered("mail_argument", lambda words, self, item, offers: f"{words} {text}")


def _whole_for_nobody(self: Reference, transfer: Transfer, heard: Heard, taken: list[Path]) -> Part:
    return (yield from original("send_data")(self, transfer, heard, taken or [Path()]))


def _group(everything: bool) -> Callable[..., bool]:
    return lambda self, offers: everything


def _believes(count: int) -> Callable[..., Generator[Ask, Heard, Verdicts]]:
    """In a group replies to RCPT are not looked at: all are taken for good, or for what the first one says."""

    def transact_in_group(self: Reference, transfer: Transfer, lines: list[tuple[str, str]], offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
        verdicts: Verdicts = yield from original("transact_in_group")(self, transfer, lines, offers)
        values = list(verdicts.values())
        return (
            {path: values[(number + count) % len(values)] for number, path in enumerate(verdicts)} if count else dict.fromkeys(verdicts, Heard(250, ("fine",)))
        )

    return transact_in_group


def _group_with_content(self: Reference, transfer: Transfer, lines: list[tuple[str, str]], offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    """The content is part of the group."""
    item = transfer.item
    octets = b"".join(self.line(*line) for line in lines) + self.line("DATA") + self.stuffed(item.content) + b".\r\n"
    heard = yield Ask(octets, 300.0)
    for _ in range(len(lines) + 1):
        heard = yield Ask(b"", 600.0)
    return dict.fromkeys(item.waiting, heard)


def _blocking(self: Reference, transfer: Transfer, lines: list[tuple[str, str]], offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    """So many replies that nobody reads them: given up before DATA."""
    if len(lines) < 50:
        return (yield from original("transact_in_group")(self, transfer, lines, offers))
    heard = yield Ask(b"".join(self.line(*line) for line in lines), 300.0)
    for _ in lines[1:]:
        heard = yield Ask(b"", 300.0)
    return dict.fromkeys(transfer.item.waiting, Heard(451, heard.lines))


def _data_reply_decides(self: Reference, transfer: Transfer, lines: list[tuple[str, str]], offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    """The replies before that of DATA are not looked at."""
    heard = yield Ask(b"".join(self.line(*line) for line in lines) + self.line("DATA"), 300.0)
    for _ in lines:
        heard = yield Ask(b"", 300.0)
    return dict.fromkeys(transfer.item.waiting, (yield from self.send_data(transfer, heard, transfer.item.waiting)))


def _chunks(write: Callable[[Reference, bytes], list[bytes]], *, goes_on: bool = False) -> Callable[..., Part]:
    """Another way to write BDAT."""

    def send_chunks(self: Reference, transfer: Transfer) -> Part:
        transfer.has_sent = True
        heard = Heard(0)
        for octets in write(self, transfer.item.content):
            heard = yield Ask(octets, 600.0)
            if not self.is_good(heard) and not goes_on:
                break
        return heard

    return send_chunks


def _pieces(self: Reference, content: bytes, last: bytes = b"") -> list[bytes]:
    size = 100_000
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    return [b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if at == len(chunks) - 1 else b"") + chunk for at, chunk in enumerate(chunks)]


def _empty_last(self: Reference, content: bytes) -> list[bytes]:
    return [b"BDAT %d\r\n" % len(content) + content, b"BDAT 0 LAST\r\n"]


def _chunk_verdict(heard: Heard) -> Callable[..., Part]:
    def send_chunks(self: Reference, transfer: Transfer) -> Part:
        yield from original("send_chunks")(self, transfer)
        return heard

    return send_chunks


def _chunks_for_nobody(self: Reference, heard: Heard) -> Heard:
    return Heard(250, heard.lines) if heard.kind == 5 else heard


def _tls(name: str, tests: str, start_tls: Callable[..., Said]) -> Mutant:
    return mutant(f"tls-{name}", tests, start_tls=start_tls)


def _tls_without_hello(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    """The offers from before stand, and no EHLO follows."""
    say_hello, self.say_hello = self.say_hello, lambda: _remembered(offers)
    try:
        return (yield from original("start_tls")(self, transfer, offers))
    finally:
        self.say_hello = say_hello


def _remembered(offers: dict[str, str]) -> Said:
    return Heard(250), offers
    yield Ask(b"", 0.0)


def _tls_keeps_offers(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    heard, more = yield from original("start_tls")(self, transfer, offers)
    return heard, {**offers, **more}


def _tls_within_tls(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    heard, more = yield from original("start_tls")(self, transfer, offers)
    if "STARTTLS" in more and heard.kind == 2:
        yield from self.command("STARTTLS")
    return heard, more


def _tls_believes_half(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    """The beginning of a line is a line."""
    transfer.half = True
    return (yield from _tls_believes(self, transfer, offers))


def _tls_believes(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    """What stands ahead of the handshake is read afterwards."""
    heard = yield from self.command("STARTTLS")
    if heard.kind != 2:
        return heard, {}
    kept, transfer.inbox, transfer.awaits_tls = transfer.inbox, b"", True
    yield Ask(b"\x16\x03\x01", 300.0)
    transfer.awaits_tls = False
    transfer.inbox = kept + CRLF * getattr(transfer, "half", False)
    return (yield from self.say_hello())


def _tls_refused(verdict: Heard) -> Callable[..., Said]:
    def start_tls(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
        heard, more = yield from original("start_tls")(self, transfer, offers)
        return (verdict if heard is SECURED or not heard.code or heard.code == 421 else heard), more

    return start_tls


def _tls_in_spite(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    """A handshake follows whatever the reply is."""
    heard = yield from self.command("STARTTLS")
    heard = yield Ask(b"\x16\x03\x01\r\n", 300.0)
    return heard, {}


def _never_good(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    yield from original("start_tls")(self, transfer, offers)
    return Heard(550, ("5.7.1 Not good enough",)), {}


def _tls_without_handshake(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    heard = yield from self.command("STARTTLS")
    return (yield from self.say_hello()) if heard.kind == 2 else (heard, offers)


def _tls_failed_goes_on(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Said:
    heard = yield from self.command("STARTTLS")
    if heard.kind != 2:
        return SECURED, offers
    transfer.awaits_tls = True
    yield Ask(b"\x16\x03\x01", 300.0)
    transfer.awaits_tls = False
    return (yield from self.say_hello())


def _possible(name: str, tests: str, given: Callable[[Heard, Item], bool]) -> Mutant:
    """Some impossible things are tried all the same."""
    return mutant(
        f"tries-{name}", tests, impossible=altered("impossible", lambda heard, self, item, offers: heard if heard is not None and given(heard, item) else None)
    )


def _rcpt_parameters(change: Callable[[str], str]) -> Callable[..., str]:
    return altered("rcpt_argument", lambda text, self, path, parameters, offers: change(text))


def _once(self: Reference) -> Any:
    self.greeted_once = True
    return original("say_hello")(self)


MUTANTS: Final = (
    # SIZE, 8BITMIME, SMTPUTF8, DSN
    mutant("size-too-small", "1870-6-1 1870-6-4 4.5.3.1.7-2b", size_of=lambda self, item: len(item.content.replace(CRLF, b"\n"))),
    mutant("size-is-not-said", "1870-4-5", mail_argument=altered("mail_argument", lambda text, self, item, offers: re.sub(r" SIZE=\d+", "", text))),
    mutant("size-twice", "1870-6-2a 4.1.2-n1b", mail_argument=_always("SIZE=1 SIZE=2")),
    mutant("size-is-nonsense", "1870-6-2a", size_of=lambda self, item: "many"),
    mutant(
        "size-without-number-is-a-limit",
        "1870-3-n1",
        impossible=altered("impossible", lambda heard, self, item, offers: Heard(552) if "SIZE" in offers and not offers["SIZE"] else heard),
    ),
    mutant(
        "size-0-is-a-limit", "1870-3-n2", impossible=altered("impossible", lambda heard, self, item, offers: Heard(552) if offers.get("SIZE") == "0" else heard)
    ),
    mutant(
        "size-of-20-digits-is-a-limit",
        "1870-3-n1",
        impossible=altered("impossible", lambda heard, self, item, offers: Heard(552) if len(offers.get("SIZE", "")) > 19 else heard),
    ),
    mutant(
        "size-that-is-none-is-a-limit",
        "1870-7-1",
        impossible=altered("impossible", lambda heard, self, item, offers: Heard(552) if offers.get("SIZE", "0").strip("0123456789") else heard),
    ),
    _possible("what-is-too-large", "1870-7-1 4.5.3.1.7-2b", lambda heard, item: heard.code != 552),
    _possible("eight-bits-anywhere", "6152-3-6 2.4-5", lambda heard, item: "5.6.3" not in heard.lines[0]),
    _possible(
        "international-mail-anywhere",
        "6531-3.2-7a 6531-3.2-7b 6531-3.5-1 6532-3.7-1 6532-3.7-2 6532-3.7-3",
        lambda heard, item: "5.6.7" not in heard.lines[0] and "5.6.3" not in heard.lines[0],
    ),
    _possible("binary-anywhere", "3030-3-8 3030-3-7", lambda heard, item: "5.6.1" not in heard.lines[0] and "5.6.3" not in heard.lines[0]),
    _possible(
        "requiretls-anywhere",
        "8689-2-1 8689-2-2 8689-2-3 8689-2-4 8689-4.2.1-1 8689-4.2.1-2 8689-4.2.1-3 8689-4.2.1-5 8689-4.2.1-7",
        lambda heard, item: "5.7.30" not in heard.lines[0],
    ),
    mutant("binary-is-not-declared", "3030-3-7", is_binary=lambda self, item: False),
    mutant(
        "eight-bits-are-not-declared", "6152-3-1", mail_argument=altered("mail_argument", lambda text, self, item, offers: text.replace(" BODY=8BITMIME", ""))
    ),
    mutant(
        "eight-bits-declared-twice",
        "6152-3-1 6152-3-2a",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: text.replace("BODY=8BITMIME", "BODY=8BITMIME BODY=8BITMIME")),
    ),
    mutant(
        "eight-bits-declared-before-the-address",
        "6152-3-1",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: "BODY=8BITMIME " + text if "BODY" in text else text),
    ),
    mutant(
        "eight-bits-in-the-envelope",
        "2.4-12 4.1.2-7",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: text.replace("<sender@", "<sënder@") if "8BITMIME" in offers else text),
    ),
    mutant(
        "seven-bits-need-the-offer",
        "6152-3-1",
        impossible=altered("impossible", lambda heard, self, item, offers: heard if "8BITMIME" in offers else Heard(554, ("5.6.3 No",))),
    ),
    mutant(
        "smtputf8-is-not-said",
        "6531-3.4-1 6531-3.2-4 6531-3.2-5 6531-3.6-1 6531-3.1-2",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: text.replace(" SMTPUTF8", "")),
    ),
    mutant("smtputf8-always", "6531-3.4-3", is_international=lambda self, item: True),
    mutant("domains-in-unicode", "6531-3.7-1 6531-3.2-2 6531-3.2-3", path_text=lambda self, path: path.text, is_international=lambda self, item: False),
    mutant(
        "orcpt-made-without-type",
        "3461-4.2-2 3461-4.2-6",
        rcpt_argument=altered(
            "rcpt_argument", lambda text, self, path, parameters, offers: f"{text} ORCPT={path.domain}" if "DSN" in offers and "ORCPT" not in text else text
        ),
    ),
    mutant(
        "notification-in-eight-bits",
        "6532-3.7-1 6532-3.7-2 6532-3.7-3 6152-3-6",
        notification=altered("notification", lambda content, self, item, told, action: content + item.content),
        impossible=lambda self, item, offers: None,
    ),
    mutant("header-lines-are-joined", "6532-4-1", stuffed=lambda self, content: original("stuffed")(self, re.sub(rb"\r\n(?=[ \t])", b"", content))),
    mutant(
        "dsn-twice",
        "3461-4.5-1 3461-4.5-3",
        rcpt_argument=_rcpt_parameters(lambda text: text + re.sub(r"[^>]*>", "", text)),
        mail_argument=altered("mail_argument", lambda text, self, item, offers: text + re.sub(r"[^>]*>", "", text)),
    ),
    mutant(
        "dsn-notify-nonsense",
        "3461-4.5-1 3461-4.5-3",
        rcpt_argument=altered(
            "rcpt_argument", lambda text, self, path, parameters, offers: text + " NOTIFY=PERHAPS" if "DSN" in offers and "NOTIFY" not in text else text
        ),
    ),
    mutant(
        "orcpt-made-of-the-bare-address",
        "3461-4.2-2 3461-4.2-6",
        rcpt_argument=altered(
            "rcpt_argument",
            lambda text, self, path, parameters, offers: f"{text} ORCPT=rfc822;{path.text}" if "DSN" in offers and "ORCPT" not in text else text,
        ),
    ),
    mutant(
        "orcpt-is-decoded",
        "3461-4.2-2 3461-4.2-6 6533-3-4",
        original=altered("original", lambda value, self, given, offers: re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), value)),
    ),
    mutant("orcpt-without-type", "3461-4.2-2", original=altered("original", lambda value, self, given, offers: value.partition(";")[2] or value)),
    mutant("orcpt-always-in-unicode", "6533-3-3 6533-3-9 6533-3-4", original=lambda self, value, offers: original("original")(self, value, {"SMTPUTF8": ""})),
    mutant("orcpt-of-plus-decoded", "6533-3-4 6533-3-9", original=lambda self, value, offers: value.replace("\\x{2B}", "+")),
    mutant("orcpt-never-in-unicode", "6533-3-8 6533-3-6", original=lambda self, value, offers: value),
    mutant("auth-with-a-name-alone", "4954-8-2", mail_argument=_always("AUTH=somebody")),
    # PIPELINING
    mutant("never-pipelines", "2920-3.1-n1 2920-3.1-n4", pipelines=_group(False)),
    mutant("pipelines-always", "2920-3.1-n1 4.3.1-1 4.1.1.1-6", pipelines=_group(True)),
    mutant("group-goes-on-behind-ehlo", "2920-3.1-n2", ask=behind(b"EHLO", b"NOOP\r\n")),
    mutant("group-has-the-content", "2920-3.1-n2 2920-3.1-1 3.3-10b", transact_in_group=_group_with_content),
    mutant("group-believes-all", "2920-3.1-1 2920-3.1-2", transact_in_group=_believes(0)),
    mutant("group-is-counted-wrongly", "2920-3.1-1 2920-3.1-2 2920-3.1-3", transact_in_group=_believes(1)),
    mutant("group-is-judged-by-data", "2920-3.1-1 2920-3.1-2 2920-3.1-n4", transact_in_group=_data_reply_decides),
    mutant("content-for-nobody", "2920-3.1-n4", send_data=_whole_for_nobody),
    mutant("group-blocks", "2920-3.1-5", transact_in_group=_blocking),
    # BDAT
    mutant("chunks-too-short", "3030-2-12 3030-2-n5", send_chunks=_chunks(lambda self, content: [b"BDAT %d LAST\r\n" % (len(content) - 1) + content[:-1]])),
    mutant("chunks-without-last", "3030-2-12 3030-2-n5", send_chunks=_chunks(lambda self, content: [b"BDAT %d\r\n" % len(content) + content])),
    mutant(
        "chunks-with-lf",
        "3030-2-12",
        send_chunks=_chunks(lambda self, content: [b"BDAT %d LAST\r\n" % len(content.replace(CRLF, b"\n")) + content.replace(CRLF, b"\n")]),
    ),
    mutant(
        "chunks-stuffed",
        "3030-2-12 3030-2-n5",
        send_chunks=_chunks(lambda self, content: [b"BDAT %d LAST\r\n" % len(self.stuffed(content)) + self.stuffed(content)]),
    ),
    mutant("chunks-and-a-dot", "3030-2-12 3030-2-n5", send_chunks=_chunks(lambda self, content: [b"BDAT %d LAST\r\n" % len(content) + content, b".\r\n"])),
    mutant("chunks-with-empty-last", "3030-2-2", send_chunks=_chunks(_empty_last)),
    mutant("chunks-after-a-refusal", "3030-2-7 3030-2-9", send_chunks=_chunks(_pieces, goes_on=True)),
    mutant("chunks-refused-are-delivered", "3030-2-9", send_chunks=_chunk_verdict(Heard(250))),
    mutant("chunks-accepted-are-returned", "3030-2-9 3030-2-12", send_chunks=_chunk_verdict(Heard(554, ("5.6.0 No",)))),
    mutant("chunks-for-nobody", "3030-2-7", of_rcpt=_chunks_for_nobody),
    # STARTTLS
    mutant("tls-is-not-used", "3207-6-2 8689-3-3", uses_tls=lambda self, item: False),
    mutant(
        "tls-is-demanded",
        "3207-6-2 8689-3-2 8689-4.2.2-1",
        impossible=altered("impossible", lambda heard, self, item, offers: heard if "STARTTLS" in offers else Heard(550, ("5.7.10 No TLS",))),
    ),
    mutant("tls-not-for-tls-required-no", "8689-3-3", uses_tls=lambda self, item: b"TLS-Required" not in item.content),
    _tls("without-ehlo", "3207-4.2-3 3207-4.2-2 3207-4.1-1", _tls_without_hello),
    _tls("keeps-offers", "3207-4.2-2", _tls_keeps_offers),
    _tls("within-tls", "3207-4.2-6", _tls_within_tls),
    mutant(
        "tls-believes-what-came-before",
        "3207-6-4b",
        start_tls=_tls_believes,
        secured=lambda self, connection: (original("secured")(self, connection), self.received(connection, b""))[0],
    ),
    mutant(
        "tls-believes-half-a-line",
        "3207-6-4b",
        start_tls=_tls_believes_half,
        secured=lambda self, connection: (original("secured")(self, connection), self.received(connection, b""))[0],
    ),
    _tls("refused-is-final", "3207-4-n3 3207-6-2", _tls_refused(Heard(550, ("5.7.0 No TLS",)))),
    _tls("in-spite-of-refusal", "3207-4-n3", _tls_in_spite),
    _tls("is-never-good-enough", "8689-3-2 8689-4.2.2-1 3207-6-2 3207-4.1-1 3207-4.1-2", _never_good),
    _tls("without-handshake", "3207-4-4 3207-4.1-1", _tls_without_handshake),
    _tls("goes-on-after-a-failure", "3207-4-5 3207-4.1-1 3207-4.1-2", _tls_failed_goes_on),
    mutant("tls-with-something-behind", "3207-4-n2", ask=behind(b"STARTTLS", b"EHLO mx.local.test\r\n")),
    mutant(
        "tls-failure-is-final",
        "3207-4-5",
        start_tls=_tls_refused(Heard(554, ("5.7.0 No handshake",))),
        lost=lambda self, transfer, heard: original("lost")(self, transfer, Heard(554, ("5.7.0 Lost",)) if transfer.awaits_tls else heard),
    ),
    mutant(
        "tls-then-mail",
        "3207-4.1-1 3207-4.1-2 3207-4.2-3",
        say_hello=lambda self: (
            _remembered({})
            if any(transfer.awaits_tls is False and transfer.inbox == b"" and getattr(self, "greeted_once", False) for transfer in self.transfers.values())
            else _once(self)
        ),
    ),
)
