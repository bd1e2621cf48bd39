"""What the client says, and when (RFC 5321 2.2, 3.2, 3.3, 4.1, 4.5.2, 4.5.3.2)."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable, Generator
from typing import Any, Final

from tests.conformance.reference.dialogue import Ask, Part, Talk, Transfer, Verdicts
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
OFFERED: Final = "4.1.1.3-6 4.1.5-2b 3030-2-n5"


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


def _eager(self: Reference, transfer: Transfer, ask: Ask) -> None:
    """EHLO does not wait for the greeting."""
    if not ask.octets and not transfer.inbox and not getattr(transfer, "began", False):
        transfer.began = True
        self.out.write(transfer.connection, self.line("EHLO", self.host))
    elif ask.octets.startswith(b"EHLO") and not getattr(transfer, "said", False):
        transfer.said = True
        ask = Ask(b"", ask.timeout_s)
    original("ask")(self, transfer, ask)


def behind(verb: bytes, more: bytes) -> Callable[..., None]:
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


def _timeout(name: str, tests: str, **seconds: float) -> Mutant:
    return mutant(f"timeout-{name}", tests, timeouts={**Reference.timeouts, **seconds})


def _whole_time(self: Reference, transfer: Transfer, ask: Ask) -> None:
    """One time for the whole session."""
    before = transfer.deadline
    original("ask")(self, transfer, ask)
    transfer.deadline = before or transfer.deadline


def _path(change: Callable[[str], str]) -> Callable[..., str]:
    return altered("path_text", lambda text, self, path: change(text) if text else text)


def _unquoted(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return f"{local[1:-1]}@{domain}" if local.startswith('"') else text


def _quoted(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return text if local.startswith('"') else f'"{local}"@{domain}'


def _parameter(keyword: str) -> Mutant:
    value = {"SIZE": "SIZE=1000", "BODY": "BODY=8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "RET=HDRS", "ENVID": "ENVID=x", "AUTH": "AUTH=<>"}[keyword]

    def changed(words: str, self: Reference, item: Item, offers: dict[str, str]) -> str:
        return words if keyword in words else f"{words} {value}"

    return mutant(f"says-{keyword.lower()}-unasked", "4.1.1.3-6 6531-3.4-3 3207-4.2-2", mail_argument=altered("mail_argument", changed))


def _told(self: Reference, transfer: Transfer, offers: dict[str, str]) -> Any:
    """The envelope is copied into the header."""
    names = "".join(f"Bcc: <{path.text}>\r\n" for path in transfer.item.waiting)
    transfer.item.content = names.encode() + transfer.item.content
    return original("transact")(self, transfer, offers)


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
    mutant("something-behind-the-dot", "3.3-10b 4.3.1-1 2920-3.1-n2", ask=behind(b"Received:", b"QUIT\r\n")),
    mutant("content-behind-data", "3.3-10b", ask=behind(b"DATA", b"Subject: early\r\n")),
    mutant("many-offers-are-too-many", "4.1.1.1-6", say_hello=_hello_if(lambda lines: len(lines) < 12)),
    mutant("offers-in-odd-letters-are-refused", "4.1.1.1-6", say_hello=_hello_if(lambda lines: all(line == line.upper() for line in lines[1:]))),
    mutant("data-behind-rcpt", "4.3.1-1 2920-3.1-n1", ask=behind(b"RCPT", b"NOOP\r\n")),
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
    # time
    *(_timeout(f"{name.lower()}-too-short", "4.5.3.2-4", **{name: 20.0}) for name in ("CONNECT", "MAIL", "RCPT", "DATA", "DOT")),
    *(_timeout(f"{name.lower()}-without-end", "4.5.3.2-1", **{name: 1e9}) for name in ("CONNECT", "MAIL", "RCPT", "DATA", "DOT")),
    _timeout("of-a-second", "4.5.3.2-2 4.5.3.2-4", **dict.fromkeys(Reference.timeouts, 1.0)),
    mutant("timeout-of-the-whole-session", "4.5.3.2-2 4.5.3.2-4", ask=_whole_time),
)
