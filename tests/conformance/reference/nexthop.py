"""Next hop: from a domain to addresses, in the order in which they are tried (RFC 5321 5.1, RFC 7505)."""

import random

from tests.conformance.reference.extensions import Extended
from tests.conformance.reference.heard import Heard


class NextHop(Extended):
    """Part of the reference."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(1)
        self.names: dict[str, str] = {}

    def addresses(self, domain: str) -> list[str] | Heard:
        """The addresses, or why there are none: of the class 4 (later) or 5 (never). `names` has the host of each."""
        if domain.startswith("["):
            return [domain[1:-1].removeprefix("IPv6:")]
        hosts = self.mail_hosts(domain)
        if isinstance(hosts, Heard):
            return hosts
        found: list[str] = []
        failures: list[Heard] = []
        for host in hosts:
            addresses = self.addresses_of(host)
            if isinstance(addresses, Heard):
                failures.append(addresses)
            else:
                found += addresses
                self.names |= dict.fromkeys(addresses, host)
        later = [failure for failure in failures if failure.kind == 4]
        return found or (later or failures)[0]

    def mail_hosts(self, domain: str) -> list[str] | Heard:
        failure, data = self.out.lookup(domain, "MX")
        if failure:
            return self.failed(failure)
        if not data:
            return self.without_mx(domain)
        records = [(int(number), name.rstrip(".").lower()) for number, _, name in (text.partition(" ") for text in data)]
        if [name for _, name in records] == [""]:
            return Heard(556, ("5.1.10 The domain takes no mail",))
        return [name for _, name in self.below_self(self.ordered(records))] or Heard(554, ("5.4.6 The domain leads back to this host",))

    def without_mx(self, domain: str) -> list[str] | Heard:
        """RFC 5321 5.1: the implicit MX."""
        return [domain]

    def failed(self, failure: str) -> Heard:
        if failure == "NXDOMAIN":
            return Heard(550, ("5.1.2 No such domain",))
        return Heard(451, ("4.4.3 The DNS does not answer",))

    def ordered(self, records: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """By preference; those of equal preference in any order."""
        return sorted(records, key=lambda record: (record[0], self.random.random()))

    def below_self(self, records: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Where this host is listed, it and all that are not preferred to it are left out."""
        own = [number for number, name in records if name == self.host]
        return [record for record in records if not own or record[0] < min(own)]

    def addresses_of(self, host: str) -> list[str] | Heard:
        failures: list[Heard] = []
        found: list[str] = []
        for rrtype in self.families():
            failure, data = self.out.lookup(host, rrtype)
            found += data
            if failure:
                failures.append(self.failed(failure))
        if found:
            return found
        later = [failure for failure in failures if failure.kind == 4]
        return (later or failures or [Heard(550, ("5.4.4 The host has no address",))])[0]

    def families(self) -> tuple[str, ...]:
        return ("A", "AAAA")
