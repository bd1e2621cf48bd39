"""Next hop and queue (RFC 5321 4.5.4, 5.1, 6.1; RFC 7505): where mail goes, how often it is tried, and what its sender is told."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from collections.abc import Callable
from typing import Any, Final

from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.grammar import Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.queue import DAY_S

Records = list[tuple[int, str]]
ORDER: Final = "5.1-13 5.1-n4 5.1-14 5.1-17"
NEXT: Final = "5.1-10 5.1-12"


def _ordered(name: str, tests: str, order: Callable[[Records], Records]) -> Mutant:
    return mutant(f"mx-{name}", tests, ordered=lambda self, records: order(records))


def _below(name: str, tests: str, choose: Callable[[Records, list[int]], Records]) -> Mutant:
    def below_self(self: Reference, records: Records) -> Records:
        return choose(records, [number for number, host in records if host == self.host])

    return mutant(f"itself-{name}", tests, below_self=below_self)


def _failed(name: str, tests: str, change: Callable[[str], Heard]) -> Mutant:
    return mutant(f"dns-{name}", tests, failed=lambda self, failure: change(failure))


LATER: Final = Heard(451, ("4.4.3 Later",))
NEVER: Final = Heard(550, ("5.4.4 Never",))


def _no_mx(self: Reference, domain: str) -> list[str] | Heard:
    """Addresses only."""
    return [domain]


def _address_beside(hosts: Any, self: Reference, domain: str) -> Any:
    """The domain itself is tried as well."""
    return [*hosts, domain] if isinstance(hosts, list) else [domain] if isinstance(hosts, Heard) and hosts.kind == 4 else hosts


def _null_is_host(self: Reference, domain: str) -> Any:
    """A null MX is no MX."""
    hosts = original("mail_hosts")(self, domain)
    return [domain] if isinstance(hosts, Heard) and hosts.code == 556 else hosts


def _null_waits(self: Reference, domain: str) -> Any:
    hosts = original("mail_hosts")(self, domain)
    return LATER if isinstance(hosts, Heard) and hosts.code == 556 else hosts


def _no_cname(self: Reference, domain: str) -> Any:
    """A name that leads to another is no name of a domain."""
    _, data = self.out.lookup(domain, "CNAME")
    return NEVER if data else original("mail_hosts")(self, domain)


def _no_cname_host(self: Reference, host: str) -> Any:
    _, data = self.out.lookup(host, "CNAME")
    return NEVER if data else original("addresses_of")(self, host)


def _above(self: Reference, domain: str) -> Any:
    """The domain above is asked where there is nothing."""
    hosts = original("mail_hosts")(self, domain)
    return original("mail_hosts")(self, domain.partition(".")[2]) if isinstance(hosts, Heard) and hosts.kind == 5 else hosts


def _address_of_above(self: Reference, domain: str) -> Any:
    hosts = original("mail_hosts")(self, domain)
    return hosts if isinstance(hosts, Heard) or hosts != [domain] else [domain.partition(".")[2]]


def _fixed(self: Reference, domain: str) -> Any:
    """The DNS is not asked."""
    found = [address for address, (_, host) in self.out.listening.items() if host == "mx"]
    return found[:1] or LATER


def _address_first(self: Reference, domain: str) -> Any:
    _, data = self.out.lookup(domain, "A")
    return [domain] if data else original("mail_hosts")(self, domain)


def _useless(self: Reference, domain: str) -> Any:
    """Where no MX host has an address, that of the domain is used."""
    found = original("addresses")(self, domain)
    if isinstance(found, Heard) and found.code != 556:
        other = self.addresses_of(domain)
        return other if isinstance(other, list) else found
    return found


def _fate(change: Callable[[Heard], Heard]) -> Callable[..., Any]:
    return altered("addresses", lambda found, self, domain: change(found) if isinstance(found, Heard) else found)


def _permanent_if(applies: Callable[[Item, Heard], bool]) -> Any:
    def settle(self: Reference, item: Item, verdicts: Any) -> None:
        original("settle")(self, item, {path: NEVER if applies(item, heard) else heard for path, heard in verdicts.items()})

    return settle


def _envelope(name: str, tests: str, change: Callable[[Item], Envelope]) -> Mutant:
    return mutant(f"notification-{name}", tests, envelope_of_notification=lambda self, item: change(item))


def _lost_by_kill(self: Reference, hook: str) -> None:
    original("go_down")(self, hook)
    self.items.clear()


def _forgets(self: Reference, item: Item, verdicts: Any) -> None:
    original("settle")(self, item, verdicts)
    if item in self.items:
        self.items.remove(item)


def _twice(self: Reference, item: Item, verdicts: Any) -> None:
    """What was delivered is sent again."""
    again = Envelope(item.envelope.sender, item.envelope.parameters, list(item.envelope.recipients))
    original("settle")(self, item, verdicts)
    if not item.waiting and not getattr(self, "again", False):
        self.again = True
        self.items.append(Item(again, item.domain, item.content, item.created, self.out.now))


def _received_changed(self: Reference, envelope: Envelope, content: bytes) -> None:
    head, mark, rest = content.partition(b"from a.example")
    original("take_over")(self, envelope, head + mark.upper() + rest)


def _body_changed(self: Reference, envelope: Envelope, content: bytes) -> None:
    original("take_over")(self, envelope, content.replace(b"  blanks", b" blanks").replace(b" \r\n", b"\r\n"))


def _once_only(self: Reference, transfer: Any, offers: dict[str, str]) -> Any:
    """A host that took a message is not brought another one."""
    if getattr(self, "was_there", False):
        return dict.fromkeys(transfer.item.waiting, LATER)
    self.was_there = True
    return (yield from original("transact")(self, transfer, offers))


MUTANTS: Final = (
    _ordered("in-the-order-of-the-answer", ORDER, lambda records: records),
    _ordered("highest-first", ORDER, lambda records: sorted(records, reverse=True)),
    _ordered("by-text", ORDER, lambda records: sorted(records, key=lambda record: str(record[0]))),
    _ordered("never-at-random", "5.1-14", sorted),
    _ordered("zero-last", ORDER, lambda records: sorted(records, key=lambda record: record[0] or 1_000_000)),
    _ordered(
        "beyond-32767-first",
        ORDER,
        lambda records: sorted(records, key=lambda record: record[0] if record[0] < 32_768 else record[0] - 65_536 if record[0] == 65_535 else 0),
    ),
    _ordered("first-of-a-host-counts", ORDER, lambda records: sorted({host: (number, host) for number, host in reversed(records)}.values())),
    _ordered("one-only", f"{NEXT} 5.1-13 5.1-21", lambda records: sorted(records)[:1]),
    _ordered("three-only", f"{NEXT} 5.1-13", lambda records: sorted(records)[:3]),
    mutant("mx-is-not-asked", "5.1-n1 5.1-13 5.1-6", mail_hosts=_no_mx),
    mutant("mx-after-address", "5.1-n1 5.1-6", mail_hosts=_address_first),
    mutant("mx-without-names", "5.1-n2", mail_hosts=_no_cname),
    mutant("mx-host-without-names", "5.1-n2", addresses_of=_no_cname_host),
    mutant("mx-of-the-domain-above", "5.1-1 5.1-3", mail_hosts=_above),
    mutant("mx-of-the-domain-above-only", "5.1-1", mail_hosts=lambda self, domain: original("mail_hosts")(self, domain.partition(".")[2])),
    mutant("host-visited-once-only", "4.2-5a", transact=_once_only),
    mutant("address-of-the-domain-above", "5.1-1 5.1-3 5.1-n3", mail_hosts=_address_of_above),
    mutant("dns-is-not-asked", "5.1-1 5.1-n1", addresses=_fixed),
    mutant("no-implicit-mx", "5.1-n3 5.1-n2", without_mx=lambda self, domain: NEVER),
    mutant("address-of-the-domain-as-well", "5.1-6 5.1-5 5.1-4", mail_hosts=altered("mail_hosts", _address_beside)),
    mutant("address-where-mx-is-useless", "5.1-6 5.1-5", addresses=_useless),
    mutant("null-mx-is-no-mx", "7505-3-n1 7505-4.1-n1", mail_hosts=_null_is_host),
    mutant("null-mx-waits", "7505-3-n1 7505-4.1-n1", mail_hosts=_null_waits),
    mutant("no-address-of-version-6", "5.1-n3 5.1-10", families=lambda self: ("AAAA",)),
    mutant("addresses-turned-round", "5.1-15", addresses=altered("addresses", lambda found, self, domain: found[::-1] if isinstance(found, list) else found)),
    mutant(
        "one-address-of-a-host",
        f"{NEXT} 5.1-13",
        addresses_of=altered("addresses_of", lambda found, self, host: found[:1] if isinstance(found, list) else found),
    ),
    mutant("one-address-at-all", f"{NEXT} 5.1-13", addresses=altered("addresses", lambda found, self, domain: found[:1] if isinstance(found, list) else found)),
    mutant("refused-connection-ends-it", f"{NEXT} 5.1-13", after_refusal=lambda self, addresses: []),
    mutant("no-next-host-after-a-reply", NEXT, tries_next=lambda self, heard: heard.code == 0),
    mutant("no-next-host-after-a-loss", NEXT, tries_next=lambda self, heard: heard.code != 0),
    mutant("no-next-host-after-421", NEXT, tries_next=lambda self, heard: heard.code != 421),
    mutant("no-next-host-after-554", NEXT, tries_next=lambda self, heard: heard.kind != 5),
    mutant(
        "next-host-after-anything",
        f"4.2.1-2 {NEXT}",
        finish=lambda self, transfer, verdicts: (
            self.send_to(transfer.item, transfer.rest)
            if transfer.rest and not any(heard.kind == 2 for heard in verdicts.values())
            else original("finish")(self, transfer, verdicts)
        ),
    ),
    mutant(
        "next-host-after-success",
        "5.1-10",
        finish=lambda self, transfer, verdicts: self.send_to(transfer.item, transfer.rest) if transfer.rest else original("finish")(self, transfer, verdicts),
    ),
    mutant("no-connection-is-permanent", "4.2.1-1 4.5.4.1-1 4.5.4.1-n1", settle=_permanent_if(lambda item, heard: "4.4.1" in " ".join(heard.lines))),
    # itself among the hosts
    _below("is-not-seen", "5.1-17 5.1-18 5.1-19 5.1-20 5.1-21", lambda records, own: records),
    _below(
        "alone-is-left-out", "5.1-17 5.1-19 5.1-20", lambda records, own: [record for record in records if record[0] not in own or record[1] != "mx.local.test"]
    ),
    _below("drops-all", "5.1-18 5.1-21 5.1-17", lambda records, own: [] if own else records),
    # failures of the DNS
    _failed("failure-is-permanent", "5.1-4", lambda failure: NEVER),
    *(
        _failed(f"{name.lower()}-is-permanent", "5.1-4", lambda failure, name=name: NEVER if failure in (name, "NXDOMAIN") else LATER)
        for name in ("SERVFAIL", "REFUSED", "TIMEOUT")
    ),
    _failed("nxdomain-waits", "5.1-3 5.1-5 5.1-n2", lambda failure: LATER),
    mutant("dns-no-address-waits", "5.1-5 5.1-3", addresses=_fate(lambda heard: LATER if "5.4.4" in heard.lines[0] or heard.code == 550 else heard)),
    mutant("dns-itself-waits", "5.1-20 5.1-19 5.1-18", addresses=_fate(lambda heard: LATER if "5.4.6" in heard.lines[0] else heard)),
    mutant("dns-later-is-never", "5.1-4", addresses=_fate(lambda heard: NEVER if heard.kind == 4 else heard)),
    # queue
    mutant("retry-at-once", "4.5.4.1-2 4.5.4.1-3", retry_s=1.0),
    mutant("retry-after-five-minutes", "4.5.4.1-3", retry_s=300.0),
    mutant("no-retry", "4.5.4.1-1 4.2.1-1 3.8-3 4.5.3.1.8-4 4.5.3.1.10-1 4.5.4.1-n1", settle=_forgets),
    mutant("gives-up-after-a-day", "4.5.4.1-n1 6.1-2", give_up_s=DAY_S),
    mutant("gives-up-at-once", "4.5.4.1-n1 4.2.1-1 4.5.4.1-1 3.8-3 5.1-4", give_up_s=0.0),
    mutant("never-gives-up", "4.5.4.1-n1 6.1-2", give_up_s=1e12),
    mutant("delivered-twice", "4.2.5-4 5.1-10 4.2-5a 4.5.4.1-1", settle=_twice),
    mutant("lost-by-kill", "6.1-1", go_down=_lost_by_kill),
    mutant("local-mail-is-lost", "6.1-1", deliver=lambda self, user, envelope, content: None),
    # notifications
    mutant(
        "no-notification",
        "6.1-2 4.2.1-2 4.2.5-4 5.1-3 5.1-5 5.1-20 7505-4.1-n1 3.3-10a 2920-3.1-1 1870-6.4-3 4.4-22 4.4-23 3.6.3-1 4.1.1.4-8",
        give_back=lambda self, item, failed: None,
    ),
    _envelope(
        "with-reverse-path",
        "6.1-3 3464-2-4a 3464-2-4b 3464-2-5 3.6.3-4 4.4-25b 3461-6.1-1",
        lambda item: Envelope(Path("postmaster", "local.test", "postmaster@local.test"), {}, [(item.envelope.sender, {})]),
    ),
    _envelope("to-postmaster", "6.1-4 4.2.1-2 6.1-2", lambda item: Envelope(Path(), {}, [(Path("postmaster", "", "postmaster"), {})])),
    mutant(
        "notification-with-the-content",
        "6152-3-6 6532-3.7-1 6532-3.7-2",
        notification=altered("notification", lambda content, self, item, told, action: content + item.content),
    ),
    # relaying
    mutant("relay-changes-older-received", "4.4-6 4.4-7a 4.4-7b", take_over=_received_changed),
    mutant("relay-changes-the-body", "3.6.3-5", take_over=_body_changed),
)
