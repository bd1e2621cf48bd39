"""Relaying and reports of success and failure (RFC 5321 2.3.11, 3.6.3, 6.4; RFC 3461 5.2): what a relay changes, and whom it tells."""

# mypy: disable-error-code="attr-defined, call-overload, method-assign, misc, no-any-return"

import re
from collections.abc import Callable
from typing import Final

from tests.conformance.reference.dialogue import Transfer, Verdicts
from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.grammar import Grammar, Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.queue import DAY_S
from tests.conformance.reference.reply import Reply
from tests.conformance.reference.server import CRLF, fields_of, head_of
from tests.conformance.reference.session import Session

KEPT: Final = "3.6.3-5 4.5.2-1"
MENDED: Final = "6.4-2 4.5.3.1.8-2a"
LOCAL: Final = "2.3.11-1 3461-9.1-1"
FAILED: Final = "3461-5.2.2-3 3461-5.2.6-1 3461-5.2.2-8 3461-5.2.6-4"
UNWANTED: Final = "3461-5.2.6-2 3461-5.2.2-4"
SUCCESS: Final = "3461-5.2.2-2 3461-5.2.3-1"


def _content(name: str, tests: str, change: Callable[[bytes], bytes]) -> Mutant:
    """What is sent on is not what came."""

    def take_over(self: Reference, envelope: Envelope, content: bytes) -> None:
        original("take_over")(self, envelope, change(content))

    return mutant(f"relay-{name}", tests, take_over=take_over)


def _head(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: change(head_of(content)) + content[len(head_of(content)) :]


def _body(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: content[: len(head_of(content))] + change(content[len(head_of(content)) :])


def _adds(name: bytes, value: bytes) -> Callable[[bytes], bytes]:
    """A field that is missing is added at the end of the header section."""
    return _head(lambda head: head if CRLF + name.lower() + b":" in (CRLF + head).lower() else head + name + b": " + value + CRLF)


def _local(name: str, change: Callable[[str], str], tests: str = LOCAL) -> Mutant:
    def path_text(text: str, self: Reference, path: Path) -> str:
        local, at, domain = text.rpartition("@")
        return change(local) + at + domain

    return mutant(f"relay-local-part-{name}", tests, path_text=altered("path_text", path_text))


def _parameters(name: str, tests: str, verb: str, change: Callable[[str], str]) -> Mutant:
    """The parameters of DSN are passed on in another way."""
    method = "mail_argument" if verb == "MAIL" else "rcpt_argument"
    return mutant(f"relay-dsn-{name}", tests, **{method: altered(method, lambda text, self, *rest: change(text) if "DSN" in rest[-1] else text)})


def _wants(name: str, tests: str, change: Callable[[str, str, bool], bool]) -> Mutant:
    """NOTIFY is read in another way."""

    def wants(self: Reference, item: Item, path: Path, event: str, *, unasked: bool) -> bool:
        asked = dict(item.envelope.recipients).get(path, {}).get("NOTIFY", "").upper()
        return change(asked, event, event in asked.split(",") if asked else unasked)

    return mutant(f"notify-{name}", tests, wants=wants)


def _anyhow(self: Reference, transfer: Transfer, offers: dict[str, str]) -> object:
    """DSN is taken for offered."""
    return (yield from original("transact")(self, transfer, {**offers, "DSN": ""}))


def _settled(name: str, tests: str, change: Callable[[Reference, Item, Verdicts], None]) -> Mutant:
    """Something more is done when a delivery was tried."""

    def settle(self: Reference, item: Item, verdicts: Verdicts) -> None:
        change(self, item, verdicts)
        original("settle")(self, item, verdicts)

    return mutant(f"settles-{name}", tests, settle=settle)


def _warns(applies: Callable[[str], bool]) -> Callable[[Reference, Item, Verdicts], None]:
    """A warning after hours, to those to whom this applies."""

    def warn(self: Reference, item: Item, verdicts: Verdicts) -> None:
        parameters = dict(item.envelope.recipients)
        late = {
            path: Heard(450, ("4.4.1 Late",)) for path in item.waiting if verdicts[path].kind in (0, 4) and applies(parameters[path].get("NOTIFY", "").upper())
        }
        if late and self.out.now - item.created > 3_600.0 and not getattr(self, "warned", False):
            self.warned = True
            self.report(item, late, "delayed")

    return warn


def _told_twice(self: Reference, item: Item, failed: Verdicts) -> None:
    original("give_back")(self, item, failed)
    original("give_back")(self, item, failed)


def _names_all(self: Reference, item: Item, told: Verdicts, action: str) -> None:
    """A report names every recipient."""
    original("report")(self, item, dict.fromkeys(item.waiting, next(iter(told.values()))) if told else told, action)


def _to_header(self: Reference, item: Item, told: Verdicts, action: str) -> None:
    """Where the reverse-path is null the report goes to From."""
    found = re.search(rb"\r\nFrom: <([^>@]*)@([^>]*)>", item.content)
    if not item.envelope.sender.text and found and told:
        local, domain = found[1].decode(), found[2].decode()
        item.envelope.sender = Path(local, domain, f"{local}@{domain}")
    original("report")(self, item, told, action)


def _one_each(self: Reference, item: Item, failed: Verdicts) -> None:
    """A report for each recipient."""
    for path, heard in failed.items():
        original("give_back")(self, item, {path: heard})


def _all_again(self: Reference, item: Item, verdicts: Verdicts) -> None:
    """Those that were accepted come again with those that were put off."""
    everybody = list(item.envelope.recipients)
    original("settle")(self, item, verdicts)
    if item.waiting:
        item.envelope.recipients = everybody


def _grudge(self: Reference, item: Item) -> None:
    """Who refused a sender once is not asked again."""
    if getattr(self, "grudge", False):
        self.settle(item, dict.fromkeys(item.waiting, Heard(550, ("5.7.1 As before",))))
        return
    original("attempt")(self, item)


def _refused(self: Reference, item: Item, verdicts: Verdicts) -> None:
    self.grudge = getattr(self, "grudge", False) or (bool(item.envelope.sender.text) and any(heard.kind == 5 for heard in verdicts.values()))
    original("settle")(self, item, verdicts)


def _queue_behind(self: Reference, item: Item) -> None:
    """One session at a time."""
    if self.transfers:
        item.next_try = self.out.now + 1.0
        return
    original("attempt")(self, item)


def _with_route(path: Path) -> str:
    return f"{path.route}{path.local}@{path.domain}" if path.text else ""


def _routed_sender(found: tuple[Path, str] | None) -> tuple[Path, str] | None:
    return found and (
        found[0]._replace(text=found[0].route + found[0].text, domain=found[0].route[1:].partition(":")[0].partition(",")[0] or found[0].domain),
        found[1],
    )


class _Routed(Grammar):
    """The route is part of the reverse-path."""

    def mail(self, argument: str) -> tuple[Path, str] | None:
        return _routed_sender(super().mail(argument))


def _late_date(content: bytes, self: Reference, item: Item, told: Verdicts, action: str) -> bytes:
    return content.replace(b"Action: delayed", b"Will-Retry-Until: Sun, 19 Jul 2026 12:00:00 GMT\r\nAction: delayed")


def _behind(content: bytes) -> bytes:
    """The new Received field stands behind the header section."""
    first, *fields = fields_of(head_of(content))
    return b"".join((*fields, first)) + content[len(head_of(content)) :]


def _without_older(content: bytes) -> bytes:
    first, *fields = fields_of(head_of(content))
    return b"".join((first, *(field for field in fields if not field.startswith(b"Received:")))) + content[len(head_of(content)) :]


def _gatewayed(self: Reference, session: Session, path: Path) -> Reply | None:
    """Other forms of address are taken for what they once meant."""
    return None if set("!@") & set(path.local) else original("refusal_of")(self, session, path)


MUTANTS: Final = (
    mutant("reports-one-for-each", "4.4-24 3464-2-6", give_back=_one_each),
    mutant("all-come-again", "4.5.4.1-1 2.1-2", settle=_all_again),
    mutant("refusals-are-remembered", "4.5.4.1-8", attempt=_grudge, settle=_refused),
    mutant("dead-hosts-are-not-remembered", "4.5.4.1-6", remembers_s=0.0),
    mutant("one-session-out-at-a-time", "4.5.4-1", attempt=_queue_behind, timeouts=dict.fromkeys(Reference.timeouts, 1e9)),
    mutant(
        "retries-when-started",
        "4.5.4.1-2",
        control=lambda self, hook, argument: (original("control")(self, hook, argument), original("control")(self, "flush", "") if "start" in hook else 0)[0],
    ),
    mutant("routes-go-on", "3.6.1-3b 3.6.1-3a 4.1.1.3-3a 4.1.1.3-3b C-5a C-5b F.2-3 F.2-4", path_text=lambda self, path: _with_route(path)),
    mutant("route-of-the-sender-stays", "C-9 6.1-6", grammar=_Routed()),
    mutant(
        "null-path-is-filled",
        "4.5.5-2b C-6",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: text.replace("<>", "<MAILER-DAEMON@mx.local.test>")),
    ),
    mutant(
        "reverse-path-becomes-own",
        "C-6",
        mail_argument=altered("mail_argument", lambda text, self, item, offers: re.sub("<[^>]+>", "<relay@mx.local.test>", text)),
    ),
    mutant(
        "never-by-the-null-path",
        "3461-5.2.2-6",
        mail_argument=altered(
            "mail_argument",
            lambda text, self, item, offers: (
                re.sub("<[^>]*>", "<>", text) if any(more.get("NOTIFY") == "NEVER" for _, more in item.envelope.recipients) else text
            ),
        ),
    ),
    mutant(
        "retry-until-with-a-zone-name",
        "3464-2.3.9-2",
        notification=altered("notification", _late_date),
        settle=_settled("", "", _warns(lambda asked: True)).changes["settle"],
    ),
    mutant("gateway-for-old-forms", "7.9-1", refusal_of=_gatewayed),
    _content("puts-received-behind", "4.4-6 4.4-7a", _behind),
    _content("drops-older-received", "4.4-6 4.4-7b", _without_older),
    _content("unfolds", KEPT, _head(lambda head: re.sub(rb"\r\n[ \t]+", b" ", head))),
    _content("drops-fields-that-come-twice", f"{KEPT} {MENDED}", _head(lambda head: re.sub(rb"(\r\n(\S+?):[^\r]*)(\r\n\2:[^\r]*)", rb"\1", head))),
    _content(
        "sorts-fields",
        KEPT,
        _head(lambda head: b"".join(sorted(head.splitlines(keepends=True), key=lambda line: not line.startswith((b"Received", b"\t", b"Alpha"))))),
    ),
    _content("puts-a-space-behind-colons", KEPT, _head(lambda head: re.sub(rb"(?m)^([!-9;-~]+):(?=[^ \r\n])", rb"\1: ", head))),
    _content("strips-spaces-in-fields", KEPT, _head(lambda head: re.sub(rb":  +", b": ", head))),
    _content("writes-names-in-small-letters", KEPT, _head(lambda head: re.sub(rb"(?m)^[!-9;-~]+:", lambda match: match[0].lower(), head))),
    _content("drops-empty-fields", KEPT, _head(lambda head: re.sub(rb"(?m)^[!-9;-~]+:\s*\r\n(?![ \t])", b"", head))),
    _content("mends-addresses", f"{KEPT} {MENDED}", _head(lambda head: head.replace(b"<<>>", b"").replace(b": me\r\n", b": <me@local.test>\r\n"))),
    _content("mends-dates", KEPT, _head(lambda head: head.replace(b"yesterday", b"Mon, 13 Jul 2026 12:00:00 +0000"))),
    _content("drops-dots", KEPT, _body(lambda body: re.sub(rb"\r\n\.", CRLF, body))),
    _content("strips-ends-of-lines", KEPT, _body(lambda body: re.sub(rb"[ \t]+\r\n", CRLF, body))),
    _content("drops-empty-lines", KEPT, _body(lambda body: CRLF + re.sub(rb"(?:\r\n)+", CRLF, body[2:]).removeprefix(CRLF))),
    _content("adds-a-body", KEPT, lambda content: content + b"Sent by mx.local.test\r\n"),
    _content("quotes-from", KEPT, _body(lambda body: body.replace(b"\r\nFrom ", b"\r\n>From "))),
    _content("breaks-long-lines", KEPT, _body(lambda body: re.sub(rb"([^\r\n]{500})", rb"\1\r\n", body))),
    _content("drops-controls", KEPT, lambda content: re.sub(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", b"", content)),
    _content("drops-lines-like-commands", KEPT, lambda content: re.sub(rb"\r\n(?:QUIT|RSET)(?=\r\n)", b"", content)),
    _content("drops-what-stands-around-parts", KEPT, _body(lambda body: body.replace(b"epilogue\r\n", b""))),
    _content("cuts-large-content", KEPT, lambda content: content[:50_000]),
    _content("drops-the-eighth-bit", "2.4-7", lambda content: bytes(octet & 127 for octet in content)),
    _content("adds-date", MENDED, _adds(b"Date", b"Tue, 14 Jul 2026 12:00:00 +0000")),
    _content("adds-from", MENDED, _adds(b"From", b"<unknown@local.test>")),
    _content("adds-message-id", MENDED, _adds(b"Message-ID", b"<1@local.test>")),
    _local("in-small-letters", str.lower, f"{LOCAL} 2.4-3"),
    _local("without-detail", lambda local: local.partition("+")[0]),
    _local("without-per-cent", lambda local: local.partition("%")[0]),
    _local("without-bang", lambda local: local.rpartition("!")[2]),
    _local("without-equals", lambda local: local.partition("=")[0]),
    _local("without-quotes", lambda local: local.strip('"')),
    _local("cut", lambda local: local[:32]),
    _parameters("without-envid", "3461-5.2.1-1", "MAIL", lambda text: re.sub(r" ENVID=\S+", "", text)),
    _parameters("envid-decoded", "3461-5.2.1-1", "MAIL", lambda text: text.replace("+2B", "+").replace("+3D", "=")),
    _parameters("envid-cut", "3461-5.2.1-1", "MAIL", lambda text: re.sub(r"(ENVID=\S{0,50})\S*", r"\1", text)),
    _parameters("with-envid", "3461-5.2.1-2", "MAIL", lambda text: text if "ENVID" in text else text + " ENVID=made-up"),
    _parameters("ret-always-hdrs", "3461-5.2.1-3", "MAIL", lambda text: text.replace("RET=FULL", "RET=HDRS")),
    _parameters("without-ret", "3461-5.2.1-3", "MAIL", lambda text: re.sub(r" RET=\w+", "", text)),
    _parameters("with-ret", "3461-5.2.1-4", "MAIL", lambda text: text if "RET=" in text else text + " RET=HDRS"),
    _parameters("without-notify", "3461-5.2.1-5", "RCPT", lambda text: re.sub(r" NOTIFY=\S+", "", text)),
    _parameters("with-notify", "3461-5.2.1-6", "RCPT", lambda text: text if "NOTIFY" in text else text + " NOTIFY=FAILURE"),
    _parameters("without-orcpt", "3461-5.2.1-7", "RCPT", lambda text: re.sub(r" ORCPT=\S+", "", text)),
    _parameters("orcpt-in-small-letters", "3461-5.2.1-8", "RCPT", lambda text: re.sub(r"ORCPT=\S+", lambda match: "ORCPT=" + match[0][6:].lower(), text)),
    _parameters("orcpt-decoded", "3461-5.2.1-7 3461-5.2.1-8", "RCPT", lambda text: text.replace("+2B", "+").replace("+3D", "=")),
    _parameters("with-orcpt", "3461-5.2.1-9", "RCPT", lambda text: text if "ORCPT" in text else text + f" ORCPT=rfc822;{text[4 : text.index('>')]}"),
    _parameters("with-another-orcpt", "3461-5.2.1-10 3461-5.2.1-9", "RCPT", lambda text: text if "ORCPT" in text else text + " ORCPT=rfc822;nobody@local.test"),
    mutant("relay-dsn-anyhow", "3461-5.2.2-1", transact=_anyhow),
    _wants("never-is-always", f"{UNWANTED} 3461-5.2.3-2", lambda asked, event, wanted: wanted or asked == "NEVER"),
    _wants("is-not-read", f"{UNWANTED}", lambda asked, event, wanted: event == "FAILURE"),
    _wants("any-is-failure", UNWANTED, lambda asked, event, wanted: wanted or (event == "FAILURE" and asked not in ("", "NEVER"))),
    _wants("no-failure", FAILED, lambda asked, event, wanted: wanted and event != "FAILURE"),
    _wants("no-failure-unasked", "3461-5.2.2-8 3461-5.2.6-4", lambda asked, event, wanted: wanted and bool(asked)),
    _wants("no-success", SUCCESS, lambda asked, event, wanted: wanted and event != "SUCCESS"),
    _wants("success-unasked", "3461-5.2.2-7 3461-5.2.3-3", lambda asked, event, wanted: wanted or not asked),
    _wants("failure-is-success", "3461-5.2.3-2 3461-5.2.2-7", lambda asked, event, wanted: wanted or "FAILURE" in asked),
    mutant("relays-without-a-word", "3461-5.2.2-2", offered=lambda self, transfer, offers: setattr(transfer.item, "knows_dsn", True)),
    mutant("relays-with-a-word-too-many", "3461-5.2.2-7 3464-3-2", offered=lambda self, transfer, offers: None),
    mutant(
        "success-returns-all",
        "3461-6.2-3",
        notification=altered(
            "notification",
            lambda content, self, item, told, action: content.replace(b"text/rfc822-headers", b"message/rfc822").replace(
                b"\r\n--=_part--", b"\r\nA line of text.\r\n--=_part--"
            ),
        ),
    ),
    mutant(
        "reports-a-host-that-had-no-part",
        "3464-2.3.5-1",
        notification=altered(
            "notification",
            lambda content, self, item, told, action: (
                content if b"Remote-MTA" in content else content.replace(b"Action:", b"Remote-MTA: dns; mx.local.test\r\nAction:")
            ),
        ),
    ),
    mutant("reports-name-all", "3461-5.2.8-1", report=_names_all),
    mutant("reports-go-to-the-header", "3461-5.2-1 3.6.3-3 4.5.4-2 6.1-5", report=_to_header),
    mutant("reports-twice", "3464-3-2", give_back=_told_twice),
    _settled("with-a-warning-for-all", "3461-5.2.5-4", _warns(lambda asked: True)),
    _settled("with-a-warning-unasked", "3461-5.2.5-1 3461-5.2.5-3", _warns(lambda asked: not asked)),
    _settled("with-a-warning-on-request", "3461-5.2.5-2", _warns(lambda asked: "DELAY" in asked)),
    mutant("gives-up-after-an-hour", "3461-5.2.5-4 4.5.4.1-n1", give_up_s=DAY_S / 24),
)
