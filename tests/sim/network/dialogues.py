"""The real dialogues of smx.smtp as parties of the simulated network."""

from sim.connection import Connection
from sim.environment import Environment
from sim.network import Network
from smx.messages import Outcome
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import TLS_NONE, TLS_OPPORTUNISTIC, ClientSettings, ContentWanted, Recipient, TlsWanted, Transaction, TransactionDone, Verdict
from smx.smtp.requests import ContentChunk, ContentEnd, Mail, Rcpt, StartTls
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.units import MINUTE

PATIENCE_US = 5 * MINUTE


class RealClient:
    """Delivers one message by the real client dialogue. `verdicts`: one for each recipient, when it is over."""

    def __init__(
        self, env: Environment, network: Network, content: bytes, recipients: int, *, tls: bool = False, chunking: bool = True, pipelining: bool = True
    ) -> None:
        settings = ClientSettings(b"mx.lab.example", tls=TLS_OPPORTUNISTIC if tls else TLS_NONE, chunking=chunking, pipelining=pipelining)
        self.dialogue = ClientDialogue(settings)
        self.verdicts: tuple[Verdict, ...] = ()
        self.over = False
        self._env = env
        self._content = content
        self._connection: Connection | None = None
        self._deadline = 0
        paths = tuple(Recipient(b"r%d@example.net" % index) for index in range(recipients))
        self.dialogue.begin(Transaction(b"sender@lab.example", paths, len(content)))
        network.connect("192.0.2.77", "192.0.2.1", 25, self)

    @property
    def delivered(self) -> bool:
        return any(verdict.outcome in (Outcome.DELIVERED, Outcome.RELAYED) for verdict in self.verdicts)

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self._wait()

    def refused(self, reason: str) -> None:
        self.over = True

    def received(self, data: bytes) -> None:
        self.dialogue.receive(data)
        self._go_on()

    def drained(self) -> None:
        pass

    def closed(self, reason: str) -> None:
        self._connection = None
        self.dialogue.lost(reason.encode())
        self._go_on()

    def _go_on(self) -> None:
        dialogue = self.dialogue
        while (event := dialogue.next_event()) is not None:
            if isinstance(event, ContentWanted):
                dialogue.send_content(self._content)
                dialogue.end_content()
            elif isinstance(event, TlsWanted):
                self._flush()
                assert self._connection is not None
                self._connection.start_tls(False, self._on_handshake)
            elif isinstance(event, TransactionDone):
                self.verdicts = event.verdicts
                if event.reusable:
                    dialogue.quit()
        self._flush()
        self._wait()
        if dialogue.closed:
            self.over = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _flush(self) -> None:
        data = self.dialogue.data_to_send()
        if self._connection is not None:
            self._connection.send(data)

    def _on_handshake(self, error: str, version: str, cipher: str) -> None:
        if error:
            self._connection = None
            self.dialogue.tls_failed(error.encode())
        else:
            self.dialogue.tls_started()
        self._go_on()

    def _wait(self) -> None:
        self._deadline = self._env.now + PATIENCE_US
        self._env.later(PATIENCE_US, self._on_timer)

    def _on_timer(self) -> None:
        if not self.over and self._env.now >= self._deadline:
            self.dialogue.expired()
            self._go_on()


class RealServer:
    """One session of the real server dialogue that accepts everything. `taken`: contents, with the recipients."""

    def __init__(self, connection: Connection, taken: "list[tuple[bytes, list[bytes]]]", settings: ServerSettings) -> None:
        self.dialogue = ServerDialogue(settings)
        self._connection = connection
        self._taken = taken
        self._content = b""
        self._recipients: list[bytes] = []
        self.dialogue.greet()
        self._go_on()

    def connected(self, connection: Connection) -> None:
        raise AssertionError

    def refused(self, reason: str) -> None:
        raise AssertionError

    def drained(self) -> None:
        pass

    def closed(self, reason: str) -> None:
        pass

    def received(self, data: bytes) -> None:
        self.dialogue.receive(data)
        self._go_on()

    def _go_on(self) -> None:
        dialogue = self.dialogue
        while (request := dialogue.next_request()) is not None:
            if isinstance(request, ContentChunk):
                self._content += request.octets
                continue
            if isinstance(request, Mail):
                self._recipients, self._content = [], b""
            elif isinstance(request, Rcpt):
                self._recipients.append(request.forward_path.address)
            elif isinstance(request, ContentEnd):
                self._taken.append((self._content, self._recipients))
                self._content = b""
            if dialogue.pending is not None:
                dialogue.accept()
            if isinstance(request, StartTls) and not dialogue.closed:
                self._connection.send(dialogue.data_to_send())
                self._connection.start_tls(True, self._on_handshake)
                return
        self._connection.send(dialogue.data_to_send())
        if dialogue.closed:
            self._connection.close()

    def _on_handshake(self, error: str, version: str, cipher: str) -> None:
        if not error:
            self.dialogue.tls_started()
            self._go_on()
