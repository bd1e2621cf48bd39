"""Dialogue: what the client says, one generator for a session: it yields what it says, and is given what it hears."""

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from tests.conformance.reference.grammar import Grammar, Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.nexthop import NextHop
from tests.conformance.reference.server import CRLF, head_of

HELLO_OF_TLS: Final = b"\x16\x03\x01\x00\x00"  # stands for the first record of a handshake
SECURED: Final = Heard(220, ("TLS",))
_ATOMS: Final = Grammar().pattern("dot-string")


class Ask(NamedTuple):
    """What is said, and how long the answer is waited for (RFC 5321 4.5.3.2)."""

    octets: bytes
    timeout_s: float


Talk: TypeAlias = Generator[Ask, Heard, None]
Part: TypeAlias = Generator[Ask, Heard, Heard]
Verdicts: TypeAlias = dict[Path, Heard]


@dataclass
class Transfer:
    """One connection out. `rest`: the addresses that are left to try. `has_sent`: content was begun. `awaits_tls`: 220 to STARTTLS has come."""

    connection: int
    item: Item
    rest: list[str]
    talk: Talk | None = None
    inbox: bytes = b""
    deadline: float = 0.0
    is_settled: bool = False
    has_sent: bool = False
    awaits_tls: bool = False


class Dialogue(NextHop):
    """Part of the reference."""

    timeouts = {
        **dict.fromkeys(("CONNECT", "EHLO", "HELO", "MAIL", "RCPT", "STARTTLS"), 300.0),
        **dict.fromkeys(("DOT", "BDAT"), 600.0),
        "DATA": 120.0,
        "QUIT": 30.0,
    }

    def talk(self, transfer: Transfer) -> Talk:
        """A whole session: one message."""
        heard = yield Ask(b"", self.timeouts["CONNECT"])
        offers: dict[str, str] = {}
        if self.is_good(heard):
            heard, offers = yield from self.say_hello()
        if self.is_good(heard) and "STARTTLS" in offers and self.uses_tls(transfer.item):
            heard, offers = yield from self.start_tls(transfer, offers)
        if not self.is_good(heard):
            yield from self.leave(transfer, heard)
            return
        self.offered(transfer, offers)
        refusal = self.impossible(transfer.item, offers)
        verdicts = dict.fromkeys(transfer.item.waiting, refusal) if refusal else (yield from self.transact(transfer, offers))
        if not transfer.has_sent and all(heard.code in (0, 421) for heard in verdicts.values()):
            yield from self.leave(transfer, next(iter(verdicts.values())))
            return
        self.finish(transfer, verdicts)
        if not any(heard.code in (0, 421) for heard in verdicts.values()):
            yield from self.say_quit()

    def is_good(self, heard: Heard) -> bool:
        return heard.kind == 2

    def command(self, verb: str, argument: str = "") -> Part:
        heard = yield Ask(self.line(verb, argument), self.timeouts[verb])
        return heard

    def line(self, verb: str, argument: str = "") -> bytes:
        return f"{verb} {argument}".rstrip().encode() + CRLF

    def leave(self, transfer: Transfer, heard: Heard) -> Talk:
        """Nothing can be done here: the next host is tried, if there is one."""
        if transfer.rest and self.tries_next(heard):
            transfer.is_settled = True
            self.send_to(transfer.item, transfer.rest)
        else:
            self.finish(transfer, dict.fromkeys(transfer.item.waiting, heard))
        if heard.code not in (0, 421):
            yield from self.say_quit()

    def tries_next(self, heard: Heard) -> bool:
        return True

    # --- the beginning and the end

    def say_hello(self) -> Generator[Ask, Heard, tuple[Heard, dict[str, str]]]:
        """EHLO, or HELO where that is not known (RFC 5321 3.2)."""
        heard = yield from self.command("EHLO", self.host)
        if heard.kind == 5:
            heard = yield from self.command("HELO", self.host)
            return heard, {}
        return heard, self.offers_of(heard)

    def offers_of(self, heard: Heard) -> dict[str, str]:
        words = [line.partition(" ") for line in heard.lines[1:]]
        return {keyword.upper(): parameters for keyword, _, parameters in words}

    def uses_tls(self, item: Item) -> bool:
        return True

    def start_tls(self, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, tuple[Heard, dict[str, str]]]:
        """RFC 3207: what was said before counts no more. Refused: go on without."""
        heard = yield from self.command("STARTTLS")
        if heard.code == 421 or not heard.code:
            return heard, {}
        if heard.kind != 2:
            return SECURED, offers
        if transfer.inbox:
            return Heard(0, ("4.7.0 Octets ahead of the handshake",)), {}
        transfer.awaits_tls = True
        heard = yield Ask(HELLO_OF_TLS, self.timeouts["STARTTLS"])
        transfer.awaits_tls = False
        if heard is not SECURED:
            return Heard(0, ("4.7.0 The handshake failed",)), {}
        return (yield from self.say_hello())

    def say_quit(self) -> Talk:
        yield from self.command("QUIT")

    # --- a transaction

    def impossible(self, item: Item, offers: dict[str, str]) -> Heard | None:
        """Why this host cannot be given this message."""
        if "REQUIRETLS" in item.envelope.parameters:  # RFC 8689 4.2.1: nobody vouches for the host's name here
            return Heard(550, ("5.7.30 REQUIRETLS is not to be had",))
        limit = offers.get("SIZE", "")
        if limit.isdigit() and len(limit) < 16 and 0 < int(limit) < len(item.content):
            return Heard(552, ("5.3.4 Too big for the next host",))
        if self.is_international(item) and "SMTPUTF8" not in offers:
            return Heard(553, ("5.6.7 The next host takes no UTF-8",))
        if self.is_binary(item) and not {"BINARYMIME", "CHUNKING"} <= set(offers):
            return Heard(554, ("5.6.1 The next host takes no binary content",))
        if not item.content.isascii() and "8BITMIME" not in offers:
            return Heard(554, ("5.6.3 The next host takes no octets beyond ASCII",))
        return None

    def is_binary(self, item: Item) -> bool:
        return item.envelope.parameters.get("BODY", "").upper() == "BINARYMIME"

    def is_international(self, item: Item) -> bool:
        """RFC 6531: it has UTF-8 in its envelope or its header section."""
        paths = (item.envelope.sender, *item.waiting)
        return not (head_of(item.content).isascii() and all(self.path_text(path).isascii() for path in paths))

    def mail_argument(self, item: Item, offers: dict[str, str]) -> str:
        words = [f"FROM:<{self.path_text(item.envelope.sender)}>"]
        if "SIZE" in offers:
            words.append(f"SIZE={self.size_of(item)}")
        if "8BITMIME" in offers and (not item.content.isascii() or "BODY" in item.envelope.parameters):
            words.append("BODY=BINARYMIME" if self.is_binary(item) else "BODY=8BITMIME")
        if "SMTPUTF8" in offers and self.is_international(item):
            words.append("SMTPUTF8")
        if "DSN" in offers:
            words += [f"{keyword}={item.envelope.parameters[keyword]}" for keyword in ("RET", "ENVID") if keyword in item.envelope.parameters]
        return " ".join(words)

    def size_of(self, item: Item) -> int:
        return len(item.content)

    def rcpt_argument(self, path: Path, parameters: dict[str, str], offers: dict[str, str]) -> str:
        words = [f"TO:<{self.path_text(path)}>"]
        if "DSN" in offers:
            words += [f"{keyword}={self.original(parameters[keyword], offers)}" for keyword in ("NOTIFY", "ORCPT") if keyword in parameters]
        return " ".join(words)

    def original(self, value: str, offers: dict[str, str]) -> str:
        """RFC 6533 3: an address in Unicode is plain where that is taken."""
        if "SMTPUTF8" in offers and value.lower().startswith("utf-8;"):
            return re.sub(r"\\x\{(10[0-9A-F]{4}|[0-9A-F]{2,5})\}", lambda match: chr(int(match[1], 16)), value)
        return value

    def path_text(self, path: Path) -> str:
        """With as few quotes as possible (RFC 5321 4.1.2), and the domain in ASCII."""
        if not path.text:
            return ""
        local = path.local if _ATOMS.fullmatch(path.local) or not path.local.isascii() else '"' + re.sub(r'(["\\])', r"\\\1", path.local) + '"'
        return f"{local}@{ascii_domain(path.domain)}"

    def transact(self, transfer: Transfer, offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
        """MAIL, RCPT, DATA and the content, or BDAT; gives the word about each recipient."""
        item = transfer.item
        lines = [("MAIL", self.mail_argument(item, offers))]
        lines += [("RCPT", self.rcpt_argument(path, parameters, offers)) for path, parameters in item.envelope.recipients]
        if self.pipelines(offers):
            return (yield from self.transact_in_group(transfer, lines, offers))
        mail = yield from self.command(*lines[0])
        if not self.is_good(mail):
            return dict.fromkeys(item.waiting, mail)
        verdicts: Verdicts = {}
        for path, line in zip(item.waiting, lines[1:], strict=True):
            verdicts[path] = self.of_rcpt((yield from self.command(*line)))
            if verdicts[path].code in (0, 421):
                return dict.fromkeys(item.waiting, verdicts[path])
        taken = [path for path in item.waiting if self.is_good(verdicts[path])]
        if not taken:
            return verdicts
        heard = (
            (yield from self.send_chunks(transfer)) if self.chunks(offers) else (yield from self.send_data(transfer, (yield from self.command("DATA")), taken))
        )
        return verdicts | dict.fromkeys(taken, heard)

    def of_rcpt(self, heard: Heard) -> Heard:
        """RFC 5321 4.5.3.1.10: 552 that is not about the size is too many recipients."""
        if heard.code == 552 and not heard.status.startswith(("5.2.", "5.3.")):
            return Heard(452, ("4.5.3 Too many recipients",))
        return heard

    def pipelines(self, offers: dict[str, str]) -> bool:
        return "PIPELINING" in offers

    def chunks(self, offers: dict[str, str]) -> bool:
        return "CHUNKING" in offers

    def transact_in_group(self, transfer: Transfer, lines: list[tuple[str, str]], offers: dict[str, str]) -> Generator[Ask, Heard, Verdicts]:
        """RFC 2920: one write, then a reply for each."""
        item = transfer.item
        octets = b"".join(self.line(*line) for line in lines) + (b"" if self.chunks(offers) else self.line("DATA"))
        mail = yield Ask(octets, self.timeouts["MAIL"])
        if mail.code in (0, 421):
            return dict.fromkeys(item.waiting, mail)
        verdicts: Verdicts = {}
        for path in item.waiting:
            heard = yield Ask(b"", self.timeouts["RCPT"])
            if heard.code in (0, 421):
                return dict.fromkeys(item.waiting, heard)
            verdicts[path] = self.of_rcpt(heard) if self.is_good(mail) else mail
        taken = [path for path in item.waiting if self.is_good(verdicts[path])]
        if self.chunks(offers):
            return verdicts | dict.fromkeys(taken, (yield from self.send_chunks(transfer))) if taken else verdicts
        heard = yield from self.send_data(transfer, (yield Ask(b"", self.timeouts["DATA"])), taken)
        return verdicts | dict.fromkeys(taken, heard)

    def send_data(self, transfer: Transfer, heard: Heard, taken: list[Path]) -> Part:
        """The content after a 354; a dot alone where nobody takes it."""
        if heard.kind != 3:
            return Heard(0, ("4.5.0 DATA was answered with success",)) if heard.kind == 2 else heard
        transfer.has_sent = True
        content = self.stuffed(transfer.item.content) if taken else b""
        return (yield Ask(content + b".\r\n", self.timeouts["DOT"]))

    def stuffed(self, content: bytes) -> bytes:
        """RFC 5321 4.5.2."""
        ended = content if content.endswith(CRLF) else content + CRLF
        return (CRLF + ended).replace(b"\r\n.", b"\r\n..")[2:]

    def send_chunks(self, transfer: Transfer) -> Part:
        """RFC 3030."""
        transfer.has_sent = True
        content = transfer.item.content
        return (yield Ask(self.line("BDAT", f"{len(content)} LAST") + content, self.timeouts["BDAT"]))

    # --- what the rest of the client does

    def offered(self, transfer: Transfer, offers: dict[str, str]) -> None:
        raise AssertionError("the queue does this")

    def send_to(self, item: Item, addresses: list[str]) -> None:
        raise AssertionError("the client does this")

    def finish(self, transfer: Transfer, verdicts: Verdicts) -> None:
        raise AssertionError("the client does this")


def ascii_domain(domain: str) -> str:
    """As the DNS knows it."""
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return domain
