"""Both dialogues wired together in memory, under any segmentation: what one sends, the other takes, and nothing else happens."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.messages import Notify, Outcome, Ret
from smx.smtp import replies
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import TLS_MANDATORY, TLS_NONE, ClientSettings, ContentWanted, Recipient, SessionClosed, TlsWanted, Transaction, TransactionDone, Verdict
from smx.smtp.requests import ContentBegin, ContentChunk, ContentEnd, Mail, Rcpt, StartTls
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.smtp.states import State
from tests.smtp.segments import cut


class Wire:
    """A client and a server with a wire between them that cuts what passes at drawn places."""

    def __init__(self, client: ClientSettings, server: ServerSettings, places: list[int]) -> None:
        self.client = ClientDialogue(client)
        self.server = ServerDialogue(server)
        self.places = places
        self.content = b""  # what the client sends
        self.received: list[tuple[Mail, list[Rcpt], bytes]] = []
        self.mail: Mail | None = None
        self.recipients: list[Rcpt] = []
        self.gathered = b""
        self.verdicts: list[tuple[Verdict, ...]] = []
        self.decide_rcpt: Callable[[Rcpt], bool] = lambda request: True
        self.closed = False

    def run(self) -> None:
        """Until nothing moves any more."""
        moved = True
        while moved:
            self.pull_server()
            moved = self.pass_on(self.server.data_to_send(), self.client.receive, self.pull_client)
            self.pull_client()
            moved |= self.pass_on(self.client.data_to_send(), self.server.receive, self.pull_server)

    def pass_on(self, octets: bytes, receive: Callable[[bytes], None], pull: Callable[[], None]) -> bool:
        for segment in cut(octets, self.places):
            receive(segment)
            pull()
        return bool(octets)

    def pull_server(self) -> None:
        server = self.server
        while (request := server.next_request()) is not None:
            if isinstance(request, Mail):
                self.mail, self.recipients = request, []
            elif isinstance(request, Rcpt):
                if not self.decide_rcpt(request):
                    server.answer(replies.NO_SUCH_USER)
                    continue
                self.recipients.append(request)
            elif isinstance(request, ContentBegin):
                self.gathered = b""
            elif isinstance(request, ContentChunk):
                self.gathered += request.octets
            elif isinstance(request, ContentEnd):
                assert self.mail is not None
                assert request.facts.octets == len(self.gathered)
                self.received.append((self.mail, self.recipients, self.gathered))
            if server.pending is not None:
                server.accept()

    def pull_client(self) -> None:
        client = self.client
        while (event := client.next_event()) is not None:
            if isinstance(event, ContentWanted):
                for segment in cut(self.content, self.places):
                    client.send_content(segment)
                client.end_content()
            elif isinstance(event, TlsWanted):
                assert self.server.state is State.TLS
                self.server.tls_started()
                client.tls_started()
            elif isinstance(event, TransactionDone):
                self.verdicts.append(event.verdicts)
            elif isinstance(event, SessionClosed):
                self.closed = True


places = st.lists(st.integers(0, 3000), max_size=12)
lines = st.lists(st.sampled_from([b".", b"..", b"", b"text", b"Received: x", b"\xc3\xa9", b"x" * 1200, b".\xff."]), max_size=12)
contents = st.tuples(lines, st.booleans()).map(lambda drawn: b"A: b\r\n\r\n" + b"".join(line + b"\r\n" for line in drawn[0] if drawn[1] or line))
users = st.sampled_from([b"a@x.org", b"b@x.org", b'"q q"@x.org', b"postmaster", b"refused@x.org", "\u00e9@\u00e9.org".encode()])


@pytest.mark.feature("SX33")
@given(
    st.lists(st.tuples(st.lists(users, min_size=1, max_size=5), contents), min_size=1, max_size=3),
    places,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_mail_arrives_as_it_was_sent(
    messages: list[tuple[list[bytes], bytes]], places: list[int], lmtp: bool, chunking: bool, pipelining: bool, smtputf8: bool, starttls: bool
) -> None:
    tls = TLS_MANDATORY if starttls else TLS_NONE
    wire = Wire(
        ClientSettings(b"client.example.org", lmtp=lmtp, pipelining=pipelining, chunking=chunking, tls=tls),
        ServerSettings(b"mx.example.net", lmtp=lmtp, smtputf8=smtputf8, starttls=starttls),
        places,
    )
    wire.decide_rcpt = lambda request: not request.forward_path.local_part.startswith(b"refused")
    wire.server.greet()
    sent = []
    for addresses, content in messages:
        wire.content = content
        recipients = tuple(Recipient(address, Notify.FAILURE) for address in addresses)
        wire.client.begin(Transaction(b"sender@example.org", recipients, len(content), eight_bit=True, ret=Ret.HDRS))
        wire.run()
        expected = [address for address in addresses if not address.startswith(b"refused") and (smtputf8 or address.isascii())]
        for address, verdict in zip(addresses, wire.verdicts[-1], strict=True):
            assert verdict.outcome == (Outcome.DELIVERED if address in expected else Outcome.FAILED)
        if expected:
            sent.append((expected, content))
    assert wire.client.tls == wire.server.tls == starttls
    wire.client.quit()
    wire.run()
    assert wire.closed
    assert wire.server.closed
    assert len(wire.verdicts) == len(messages)
    assert [([rcpt.forward_path.address for rcpt in rcpts], content) for _, rcpts, content in wire.received] == sent
    assert all(mail.reverse_path.address == b"sender@example.org" and mail.ret == Ret.HDRS for mail, _, _ in wire.received)
    assert all(rcpt.notify == Notify.FAILURE for _, rcpts, _ in wire.received for rcpt in rcpts)


@given(places, st.booleans(), st.booleans())
def test_a_session_goes_on_after_a_refused_message(places: list[int], chunking: bool, lmtp: bool) -> None:
    wire = Wire(ClientSettings(b"client.example.org", chunking=chunking, lmtp=lmtp), ServerSettings(b"mx.example.net", lmtp=lmtp), places)
    wire.server.greet()
    for content, outcome in (
        (b"bare\nLF\r\n", Outcome.FAILED),
        (b"good\r\n", Outcome.DELIVERED),
        (b"Received: x\r\n" * 101 + b"\r\n", Outcome.FAILED),
        (b"good\r\n", Outcome.DELIVERED),
    ):
        wire.content = content
        wire.client.begin(Transaction(b"", (Recipient(b"a@x.org"), Recipient(b"b@x.org")), len(content)))
        wire.run()
        assert [verdict.outcome for verdict in wire.verdicts[-1]] == [outcome, outcome]
    assert len(wire.received) == 2


def test_a_content_larger_than_offered_is_not_even_tried() -> None:
    wire = Wire(ClientSettings(b"client.example.org"), ServerSettings(b"mx.example.net", message_octets_max=100), [])
    wire.server.greet()
    wire.client.begin(Transaction(b"", (Recipient(b"a@x.org"),), 101))
    wire.run()
    assert wire.verdicts[0][0].enhanced == b"5.3.4"
    assert wire.mail is None


def test_starttls_is_a_decision_of_the_role() -> None:
    server = ServerDialogue(ServerSettings(b"mx.example.net", starttls=True))
    server.greet()
    server.receive(b"EHLO x\r\n")
    server.next_request()
    server.accept()
    server.receive(b"STARTTLS\r\n")
    assert server.next_request() == StartTls()
    assert server.pending == StartTls()
    server.accept()
    assert server.state is State.TLS
