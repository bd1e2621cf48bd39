"""What the client says, and when (RFC 5321 2.2, 3.2, 3.3, 4.1, 4.5.2, 4.5.3.2; RFC 1870, 2920, 3030, 3207, 3461, 6152, 6531)."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable, Generator
from typing import Any, Final

from tests.conformance.reference.dialogue import SECURED, Ask, Part, Talk, Transfer, Verdicts
from tests.conformance.reference.grammar import Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.server import CRLF

HELLO: Final = "2.2.1-3b 3.2-3"
ROUTES: Final = "3.3-3 3.3-4 4.1.1.3-1 4.1.2-1b C-1 C-2 C-3b F.2-5 3.6.1-1"
QUITS: Final = "4.1.1.10-3a 4.1.4-15 4.1.4-16 7504-3-n1"
PATHS: Final = "4.1.1-2 4.1.2-7 4.1.2-n1b"
Said = Generator[Ask, Heard, tuple[Heard, dict[str, str]]]


def _hello(name: str, tests: str, argument: str) -> Mutant:
    """Another argument of EHLO."""

    def line(self: Reference, verb: str, said: str = "") -> bytes:
        return original("line")(self, verb, argument if verb in ("EHLO", "HELO") else said)

    return mutant(f"hello-{name}", tests, line=line)


def _line(name: str, tests: str, verb: str, change: Callable[[bytes], bytes]) -> Mutant:
    """A command is written in another way."""

    def line(self: Reference, said: str, argument: str = "") -> bytes:
        octets: bytes = original("line")(self, said, argument)
        return change(octets) if verb in (said, "") else octets

    return mutant(f"line-{name}", tests, line=line)


def _falls_back(codes: Callable[[Heard], bool]) -> Callable[[Reference], Said]:
    """HELO is tried after these only."""

    def say_hello(self: Reference) -> Said:
        heard = yield from self.command("EHLO", self.host)
        if heard.kind == 5 and codes(heard):
            return (yield from self.command("HELO", self.host)), {}
        return heard, self.offers_of(heard)

    return say_hello


def _helo_first(self: Reference) -> Said:
    return (yield from self.command("HELO", self.host)), {}


def _helo_and_list(self: Reference) -> Said:
    """What stands in the reply to HELO counts."""
    heard = yield from self.command("EHLO", self.host)
    if heard.kind == 5:
        heard = yield from self.command("HELO", self.host)
    return heard, self.offers_of(heard)


def _noop_first(self: Reference) -> Said:
    yield Ask(b"NOOP\r\n", 300.0)
    return (yield from original("say_hello")(self))


def _no_hello(self: Reference) -> Said:
    """MAIL at once."""
    return Heard(250), {}
    yield Ask(b"", 0.0)


def _hello_if(good: Callable[[tuple[str, ...]], bool]) -> Callable[[Reference], Said]:
    """Only such replies to EHLO are understood."""

    def say_hello(self: Reference) -> Said:
        heard, offers = yield from original("say_hello")(self)
        return (heard if good(heard.lines) else Heard(554, ("5.5.1 What?",))), offers

    return say_hello


def _hello_put_off_is_final(self: Reference) -> Said:
    heard, offers = yield from original("say_hello")(self)
    return (Heard(554, ("5.5.1 No hello",)) if heard.kind == 4 else heard), offers


def _offers(name: str, tests: str, keyword: Callable[[str], str]) -> Mutant:
    """Keywords are read in another way."""

    def offers_of(self: Reference, heard: Heard) -> dict[str, str]:
        words = [line.partition(" ") for line in heard.lines[1:]]
        return {keyword(word): parameters for word, _, parameters in words}

    return mutant(f"offers-{name}", tests, offers_of=offers_of)


def _pretended(*keywords: str) -> Callable[..., dict[str, str]]:
    """These count as offered, always."""
    return altered("offers_of", lambda offers, self, heard: {**dict.fromkeys(keywords, ""), **offers})


def _always(text: str) -> Callable[..., str]:
    return altered("mail_argument", lambda words, self, item, offers: f"{words} {text}")


def _eager(self: Reference, transfer: Transfer, ask: Ask) -> None:
    """EHLO does not wait for the greeting."""
    if not ask.octets and not transfer.inbox and not getattr(transfer, "began", False):
        transfer.began = True
        self.out.write(transfer.connection, self.line("EHLO", self.host))
    elif ask.octets.startswith(b"EHLO") and not getattr(transfer, "said", False):
        transfer.said = True
        ask = Ask(b"", ask.timeout_s)
    original("ask")(self, transfer, ask)


def _behind(verb: bytes, more: bytes) -> Callable[..., None]:
    """Something follows a command before its reply."""

    def ask(self: Reference, transfer: Transfer, ask: Ask) -> None:
        octets = ask.octets + more if ask.octets.startswith(verb) else ask.octets
        original("ask")(self, transfer, Ask(octets, ask.timeout_s))

    return ask


def _quit_after(applies: Callable[[Verdicts], bool]) -> Callable[..., None]:
    """No QUIT after some ends: the connection is closed."""

    def finish(self: Reference, transfer: Transfer, verdicts: Verdicts) -> None:
        original("finish")(self, transfer, verdicts)
        if applies(verdicts):
            transfer.silent = True

    return finish


def _silently(self: Reference, transfer: Transfer, ask: Ask) -> None:
    if getattr(transfer, "silent", False) and ask.octets.startswith(b"QUIT"):
        self.drop(transfer)
        return
    original("ask")(self, transfer, ask)


def _quits_in_a_hurry(self: Reference, transfer: Transfer, ask: Ask) -> None:
    original("ask")(self, transfer, ask)
    if ask.octets.startswith(b"QUIT"):
        self.drop(transfer)


def _no_quit(self: Reference) -> Talk:
    """The connection is closed instead."""
    return
    yield Ask(b"", 0.0)


def _quit_and_more(self: Reference) -> Talk:
    yield from original("say_quit")(self)
    yield Ask(b"NOOP\r\n", 30.0)


def _content(name: str, tests: str, change: Callable[[bytes], bytes]) -> Mutant:
    """What goes out is not what came in."""

    def stuffed(self: Reference, content: bytes) -> bytes:
        return original("stuffed")(self, change(content))

    return mutant(f"sends-{name}", tests, stuffed=stuffed)


def _stuffed(name: str, tests: str, stuff: Callable[[bytes], bytes]) -> Mutant:
    return mutant(f"stuffs-{name}", tests, stuffed=lambda self, content: stuff(content if content.endswith(CRLF) else content + CRLF))


def _data(change: Callable[[Heard], Heard]) -> Callable[..., Part]:
    return lambda self, transfer, heard, taken: original("send_data")(self, transfer, change(heard), taken)


def _whole_for_nobody(self: Reference, transfer: Transfer, heard: Heard, taken: list[Path]) -> Part:
    return (yield from original("send_data")(self, transfer, heard, taken or [Path()]))


def _one_by_one(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    """A transaction for each recipient."""
    item, verdicts = transfer.item, {}
    everybody = item.envelope.recipients
    for pair in everybody:
        item.envelope.recipients = [pair]
        verdicts |= yield from original("transact")(self, transfer, offers)
    item.envelope.recipients = everybody
    return verdicts


def _expanding(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    if "EXPN" in offers:
        yield Ask(f"EXPN {transfer.item.waiting[0].local}\r\n".encode(), 300.0)
    return (yield from original("transact")(self, transfer, offers))


def _rcpt_first(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    yield Ask(self.line("RCPT", f"TO:<{self.path_text(transfer.item.waiting[0])}>"), 300.0)
    return (yield from original("transact")(self, transfer, offers))


def _mail_twice(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
    yield from self.command("MAIL", self.mail_argument(transfer.item, offers))
    return (yield from original("transact")(self, transfer, offers))


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


def _timeout(name: str, tests: str, **seconds: float) -> Mutant:
    return mutant(f"timeout-{name}", tests, timeouts={**Reference.timeouts, **seconds})


def _whole_time(self: Reference, transfer: Transfer, ask: Ask) -> None:
    """One time for the whole session."""
    before = transfer.deadline
    original("ask")(self, transfer, ask)
    transfer.deadline = before or transfer.deadline


def _possible(name: str, tests: str, given: Callable[[Heard, Item], bool]) -> Mutant:
    """Some impossible things are tried all the same."""
    return mutant(
        f"tries-{name}", tests, impossible=altered("impossible", lambda heard, self, item, offers: heard if heard is not None and given(heard, item) else None)
    )


def _path(change: Callable[[str], str]) -> Callable[..., str]:
    return altered("path_text", lambda text, self, path: change(text) if text else text)


def _unquoted(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return f"{local[1:-1]}@{domain}" if local.startswith('"') else text


def _quoted(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return text if local.startswith('"') else f'"{local}"@{domain}'


def _rcpt_parameters(change: Callable[[str], str]) -> Callable[..., str]:
    return altered("rcpt_argument", lambda text, self, path, parameters, offers: change(text))


def _parameter(keyword: str) -> Mutant:
    value = {"SIZE": "SIZE=1000", "BODY": "BODY=8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "RET=HDRS", "ENVID": "ENVID=x", "AUTH": "AUTH=<>"}[keyword]

    def changed(words: str, self: Reference, item: Item, offers: dict[str, str]) -> str:
        return words if keyword in words else f"{words} {value}"

    return mutant(f"says-{keyword.lower()}-unasked", "4.1.1.3-6 6531-3.4-3 3207-4.2-2", mail_argument=altered("mail_argument", changed))


OFFERED: Final = "4.1.1.3-6 4.1.5-2b 3030-2-n5"
MUTANTS: Final = (
    # EHLO and HELO
    *(mutant(f"no-helo-after-{code}", HELLO, say_hello=_falls_back(lambda heard, code=code: heard.code != code)) for code in (500, 502, 504, 550, 554)),
    mutant("no-helo-after-several-lines", HELLO, say_hello=_falls_back(lambda heard: len(heard.lines) == 1)),
    mutant("no-helo-after-a-code-alone", HELLO, say_hello=_falls_back(lambda heard: heard.lines != ("",))),
    mutant("no-helo-at-all", f"{HELLO} 3.2-1", say_hello=_falls_back(lambda heard: False)),
    mutant("helo-first", "2.2.1-2b 4.1.1.1-3 F.3-1 3.2-1 4.1.4-1", say_hello=_helo_first),
    mutant("helo-reply-is-a-list", f"{HELLO} {OFFERED}", say_hello=_helo_and_list),
    mutant("noop-first", "4.1.4-11b 2.2.1-2b 4.1.1.1-3", say_hello=_noop_first),
    mutant("no-hello", "4.1.1.1-5 4.1.4-1 4.1.1.1-3", say_hello=_no_hello),
    mutant("hello-put-off-is-final", "4.2.1-1", say_hello=_hello_put_off_is_final),
    _hello("with-words-behind", "4.1.1.1-2 4.1.2-n1b", "mx.local.test here we are"),
    _hello("with-short-name", "2.3.5-1 2.3.5-2 2.3.5-3 4.1.2-8a", "mx"),
    _hello("with-underscore", "4.1.2-8a 2.3.5-3", "mx_1.local.test"),
    _hello("with-literal", "2.3.4-1 4.1.4-7", "[192.0.2.1]"),
    _hello("with-another-name", "4.1.4-7 2.3.5-3", "other.local.test"),
    _hello("with-name-beyond-ascii", "6531-3.7.1-1 4.1.2-8a", "mü.local.test"),
    _hello("without-name", "2.3.5-3 4.1.2-n1b", ""),
    mutant("greeting-is-not-awaited", "4.3.1-2 2920-3.1-n2 4.3.1-1", ask=_eager),
    _offers("in-capitals-only", "4.1.1.1-6 6531-3.1-2", lambda word: word),
    _offers(
        "by-beginning",
        OFFERED,
        lambda word: next(
            (known for known in ("SIZE", "8BITMIME", "CHUNKING", "DSN", "SMTPUTF8", "PIPELINING") if word.upper().startswith(known)), word.upper()
        ),
    ),
    _offers("with-x", OFFERED, lambda word: word.upper().removeprefix("X-").removeprefix("X")),
    mutant("offers-in-parameters", OFFERED, offers_of=lambda self, heard: {word: "" for line in heard.lines for word in re.split(r"[ =-]", line.upper())}),
    mutant(
        "offers-in-first-line",
        OFFERED,
        offers_of=lambda self, heard: {line.partition(" ")[0].upper(): "" for line in heard.lines} | {word.upper(): "" for word in heard.lines[0].split()},
    ),
    *(
        mutant(f"{keyword.lower()}-is-used-unasked", f"{OFFERED} {more} 3207-4.2-2 2.2.1-3b", offers_of=_pretended(keyword), say_hello=original("say_hello"))
        for keyword, more in (
            ("CHUNKING", ""),
            ("PIPELINING", "2920-3.1-n1 4.3.1-1"),
            ("DSN", "3461-4.5-1"),
            ("SIZE", ""),
            ("8BITMIME", "6152-3-6 2.4-5"),
            ("SMTPUTF8", "6531-3.2-7a 6531-3.2-7b 6531-3.5-1"),
        )
    ),
    mutant(
        "offers-with-parameters-do-not-count",
        "6531-3.1-2",
        offers_of=altered("offers_of", lambda offers, self, heard: {word: more for word, more in offers.items() if not more or word == "SIZE"}),
    ),
    mutant(
        "offers-of-any-host-stay",
        OFFERED,
        offers_of=lambda self, heard: self.__dict__.setdefault("known", {}).__ior__(original("offers_of")(self, heard)) or self.known,
    ),
    # lines
    *(_parameter(keyword) for keyword in ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH")),
    _line("mail-with-a-space-behind-the-colon", "3.3-n5 4.1.2-n1b", "MAIL", lambda octets: octets.replace(b"FROM:", b"FROM: ")),
    _line("mail-in-small-letters", "2.4-4", "MAIL", lambda octets: octets.lower()),
    _line("data-with-argument", "4.1.1-3a 4.1.2-n1b", "DATA", lambda octets: b"DATA now\r\n"),
    _line("quit-with-argument", "4.1.1-3a 4.1.4-15", "QUIT", lambda octets: b"QUIT please\r\n"),
    _line("with-lf", "2.3.8-1b 2.3.8-3a 2.3.8-3b", "", lambda octets: octets.replace(CRLF, b"\n")),
    _line("of-600-octets", "4.5.3.1-2", "MAIL", lambda octets: octets[:-2] + b" " * 600 + CRLF),
    _line("send-for-mail", "F.6-1 4.1.5-2b 3.3-14", "MAIL", lambda octets: octets.replace(b"MAIL", b"SEND")),
    _line("xmail-for-mail", "4.1.5-2b", "MAIL", lambda octets: b"X" + octets),
    _line("rcpt-with-route", ROUTES, "RCPT", lambda octets: octets.replace(b"<", b"<@hop.local.test:")),
    _line("mail-with-route", ROUTES, "MAIL", lambda octets: octets.replace(b"<", b"<@hop.local.test:") if b"<>" not in octets else octets),
    _line("mail-with-underscore", "4.1.2-8a 2.3.5-1 2.3.5-2", "MAIL", lambda octets: octets.replace(b"@back.", b"@ba_ck.")),
    _line("mail-with-short-domain", "2.3.5-1 2.3.5-2", "MAIL", lambda octets: re.sub(rb"@[^>]*>", b"@back>", octets)),
    mutant("reverse-path-is-null", "4.5.5-1", mail_argument=altered("mail_argument", lambda text, self, item, offers: re.sub("<[^>]*>", "<>", text))),
    mutant("quotes-are-lost", PATHS, path_text=_path(_unquoted)),
    mutant("quotes-everywhere", f"4.1.2-5b {PATHS}", path_text=_path(_quoted)),
    mutant("local-parts-in-small-letters", PATHS, path_text=_path(str.lower)),
    mutant("signs-are-lost", PATHS, path_text=_path(lambda text: re.sub(r"[!#$%&'*+/=?^_`{|}~](?=[^@]*@)", "", text))),
    mutant("dots-are-lost", PATHS, path_text=_path(lambda text: re.sub(r"\.(?=[^@]*@)", "", text))),
    mutant("digits-are-lost", PATHS, path_text=_path(lambda text: re.sub(r"\d(?=[^@]*@)", "", text))),
    mutant("local-parts-are-cut", PATHS, path_text=_path(lambda text: text if '"' in text else text[:3] + text[text.index("@") :])),
    mutant("lists-are-expanded", "3.5.4-1", transact=_expanding),
    mutant(
        "long-local-parts-are-cut", PATHS, path_text=_path(lambda text: text if text.index("@") < 30 or '"' in text else text[:20] + text[text.index("@") :])
    ),
    # a transaction
    mutant("recipients-one-by-one", "4.5.4.1-10 4.5.4.1-9 3.3-14", transact=_one_by_one),
    mutant("rcpt-before-mail", "3.3-14", transact=_rcpt_first),
    mutant("mail-twice", "4.1.4-12 3.3-14", transact=_mail_twice),
    mutant("content-after-any-answer", "3.3-10a 3.3-10b 2920-3.1-1 4.2-10", send_data=_data(lambda heard: Heard(354) if heard.code else heard)),
    mutant("something-behind-the-dot", "3.3-10b 4.3.1-1 2920-3.1-n2", ask=_behind(b"Received:", b"QUIT\r\n")),
    mutant("content-behind-data", "3.3-10b", ask=_behind(b"DATA", b"Subject: early\r\n")),
    mutant("many-offers-are-too-many", "4.1.1.1-6", say_hello=_hello_if(lambda lines: len(lines) < 12)),
    mutant("offers-in-odd-letters-are-refused", "4.1.1.1-6", say_hello=_hello_if(lambda lines: all(line == line.upper() for line in lines[1:]))),
    mutant("data-behind-rcpt", "4.3.1-1 2920-3.1-n1", ask=_behind(b"RCPT", b"NOOP\r\n")),
    mutant("recipients-are-told", "7.2-1a 7.2-3", transact=lambda self, transfer, offers: _told(self, transfer, offers)),
    _content("with-return-path", "4.4-13 7.2-1a", lambda content: b"Return-Path: <x@y.example>\r\n" + content),
    _content("lf", "2.3.8-1b 2.3.8-3a 2.3.8-3b 4.5.2-n1", lambda content: content.replace(CRLF, b"\n")),
    _content("an-empty-line-more", "4.1.1.4-2", lambda content: content + CRLF),
    _content("no-empty-line-at-the-end", "4.1.1.4-2", lambda content: content.rstrip(b"\r\n") + CRLF),
    _content("no-blanks-at-the-end", "4.1.1.4-2 3.6.3-5 4.5.2-n1", lambda content: re.sub(rb"[ \t]+\r\n", CRLF, content)),
    _content("a-page-only", "4.1.1.4-2 4.5.2-n1", lambda content: content[:5_000]),
    _content("no-last-line", "4.1.1.4-2 4.5.2-n1 2.3.8-3b 4.1.1.4-3", lambda content: content[: content[:-2].rfind(CRLF) + 2]),
    mutant("last-line-without-its-end", "4.1.1.4-3 2.3.8-3b", stuffed=lambda self, content: original("stuffed")(self, content)[:-2]),
    _stuffed("nothing", "4.5.2-n1", lambda content: content),
    _stuffed("lone-dots-only", "4.5.2-n1", lambda content: (CRLF + content).replace(b"\r\n.\r\n", b"\r\n..\r\n")[2:]),
    _stuffed("longer-lines-only", "4.5.2-n1", lambda content: re.sub(rb"\r\n\.(?!\r)", b"\r\n..", content)),
    _stuffed("every-dot", "4.5.2-n1", lambda content: content.replace(b".", b"..")),
    _stuffed("every-second", "4.5.2-n1", lambda content: re.sub(rb"\r\n\.(.*)\r\n\.", rb"\r\n..\1\r\n.", content)),
    _stuffed("not-in-large-content", "4.5.2-n1", lambda content: (CRLF + content).replace(b"\r\n.", b"\r\n..")[2:] if len(content) < 2_000 else content),
    # QUIT
    mutant("no-quit", QUITS, say_quit=_no_quit),
    *(
        mutant(f"no-quit-after-{name}", QUITS, finish=_quit_after(applies), ask=_silently)
        for name, applies in (
            ("success", lambda verdicts: all(heard.kind == 2 for heard in verdicts.values())),
            ("refusal", lambda verdicts: all(heard.kind == 5 for heard in verdicts.values())),
            ("putting-off", lambda verdicts: all(heard.kind == 4 for heard in verdicts.values())),
        )
    ),
    mutant("reply-to-quit-is-not-awaited", "4.1.1.10-3b", ask=_quits_in_a_hurry),
    mutant("something-behind-quit", "4.1.4-15", say_quit=_quit_and_more),
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
    mutant("group-goes-on-behind-ehlo", "2920-3.1-n2", ask=_behind(b"EHLO", b"NOOP\r\n")),
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
    mutant("tls-with-something-behind", "3207-4-n2", ask=_behind(b"STARTTLS", b"EHLO mx.local.test\r\n")),
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
    # time
    *(_timeout(f"{name.lower()}-too-short", "4.5.3.2-4", **{name: 20.0}) for name in ("CONNECT", "MAIL", "RCPT", "DATA", "DOT")),
    *(_timeout(f"{name.lower()}-without-end", "4.5.3.2-1", **{name: 1e9}) for name in ("CONNECT", "MAIL", "RCPT", "DATA", "DOT")),
    _timeout("of-a-second", "4.5.3.2-2 4.5.3.2-4", **dict.fromkeys(Reference.timeouts, 1.0)),
    mutant("timeout-of-the-whole-session", "4.5.3.2-2 4.5.3.2-4", ask=_whole_time),
)


def _told(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Any:
    """The envelope is copied into the header."""
    names = "".join(f"Bcc: <{path.text}>\r\n" for path in transfer.item.waiting)
    transfer.item.content = names.encode() + transfer.item.content
    return original("transact")(self, transfer, offers)


def _once(self: Reference) -> Any:
    self.greeted_once = True
    return original("say_hello")(self)
