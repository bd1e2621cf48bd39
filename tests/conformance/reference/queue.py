"""Queue: what was accepted for others is tried until it is delivered, or given back (RFC 5321 4.5.4, 6.1)."""

from typing import Final

from tests.conformance.reference.client import Client
from tests.conformance.reference.dialogue import Transfer, Verdicts, ascii_domain
from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.grammar import Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.notification import notification

DAY_S: Final = 86_400.0
DONE: Final = Heard(250, ("2.1.5 Delivered",))


class Queue(Client):
    """Part of the reference."""

    retry_s = 1_800.0
    give_up_s = 5 * DAY_S

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = []
        self._reports = 0

    def take_over(self, envelope: Envelope, content: bytes) -> None:
        super().take_over(envelope, content)
        domains: dict[str, dict[Path, dict[str, str]]] = {}
        for path, parameters in envelope.recipients:
            if self.is_local(path):
                self.report_success(Item(envelope, self.domain, content, self.out.now, None), {path: DONE}, "delivered")
            else:
                domains.setdefault(ascii_domain(path.domain.lower()), {}).setdefault(path, parameters)
        for domain, recipients in domains.items():
            part = Envelope(envelope.sender, envelope.parameters, list(recipients.items()))
            self.items.append(Item(part, domain, content, self.out.now, self.out.now))

    # --- time

    def wake_at(self) -> float | None:
        if self.is_down:
            return None
        other = super().wake_at()
        return min([item.next_try for item in self.items if item.next_try is not None] + ([] if other is None else [other]), default=None)

    def advance(self) -> None:
        super().advance()
        for item in [item for item in self.items if item.next_try is not None and item.next_try <= self.out.now]:
            item.next_try = None
            self.attempt(item)

    def attempt(self, item: Item) -> None:
        addresses = self.addresses(item.domain)
        if isinstance(addresses, Heard):
            self.settle(item, dict.fromkeys(item.waiting, addresses))
        else:
            self.send_to(item, addresses)

    # --- what becomes of it

    def settle(self, item: Item, verdicts: Verdicts) -> None:
        """RFC 5321 4.2.1: success, never, later."""
        is_late = self.out.now - item.created >= self.give_up_s
        done = {path: verdicts[path] for path in item.waiting if self.is_delivered(verdicts[path])}
        failed = {path: verdicts[path] for path in item.waiting if path not in done and (is_late or self.is_permanent(verdicts[path]))}
        if done and not item.knows_dsn:
            self.report_success(item, done, "relayed")
        if failed:
            self.give_back(item, failed)
        for path in (*done, *failed):
            item.forget(path)
        if item.waiting:
            item.next_try = self.next_try(item)
        elif item in self.items:
            self.items.remove(item)

    def offered(self, transfer: Transfer, offers: dict[str, str]) -> None:
        """RFC 3461 5.2.1: where DSN is offered, success is reported by those further on."""
        transfer.item.knows_dsn = "DSN" in offers

    def is_delivered(self, heard: Heard) -> bool:
        return heard.kind == 2

    def is_permanent(self, heard: Heard) -> bool:
        return heard.kind == 5

    def next_try(self, item: Item) -> float:
        return self.out.now + self.retry_s

    # --- reports

    def give_back(self, item: Item, failed: Verdicts) -> None:
        """RFC 5321 6.1: the sender is told, unless the reverse-path is null, or nothing is wanted (RFC 3461 4.1)."""
        self.report(item, {path: heard for path, heard in failed.items() if self.wants(item, path, "FAILURE", unasked=True)}, "failed")

    def report_success(self, item: Item, done: Verdicts, action: str) -> None:
        self.report(item, {path: heard for path, heard in done.items() if self.wants(item, path, "SUCCESS", unasked=False)}, action)

    def wants(self, item: Item, path: Path, event: str, *, unasked: bool) -> bool:
        asked = dict(item.envelope.recipients).get(path, {}).get("NOTIFY", "").upper()
        return event in asked.split(",") if asked else unasked

    def report(self, item: Item, told: Verdicts, action: str) -> None:
        if told and item.envelope.sender.text:
            self._reports += 1
            content = self.notification(item, told, action)
            self.take_over(self.envelope_of_notification(item), content)

    def envelope_of_notification(self, item: Item) -> Envelope:
        return Envelope(Path(), {}, [(item.envelope.sender, {})])

    def notification(self, item: Item, told: Verdicts, action: str) -> bytes:
        return notification(self.host, self.date(), self._reports, item, told, action)

    # --- processes

    def control(self, hook: str, argument: str) -> int:
        if hook in ("stop", "kill", "restart"):
            self.go_down(hook)
        if hook in ("start", "restart"):
            self.is_down = False
        if hook in ("start", "restart", "flush"):
            self.unreachable.clear()
            for item in self.items:
                is_waiting = item.next_try is not None
                item.next_try = self.out.now if is_waiting == (hook == "flush") else item.next_try
        return 0

    def go_down(self, hook: str) -> None:
        """What lies in the queue stays; connections end (with 421 where there is the time)."""
        for session in list(self.sessions.values()):
            if hook != "kill":
                self.say_goodbye(session.connection)
            self.hang_up(session)
        for transfer in list(self.transfers.values()):
            self.drop(transfer)
        self.is_down = True

    def say_goodbye(self, connection: int) -> None:
        """RFC 5321 3.8."""
        self.out.write(connection, f"421 4.3.2 {self.host} is shutting down\r\n".encode())
