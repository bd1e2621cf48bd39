"""The name server as dnspython's resolver sees it."""

from collections.abc import Callable

import dns.exception
import dns.resolver
import pytest

from smx.testing.dns import FakeDns

ZONE = {
    "example.net": {"MX": ["20 mx2.example.net", "10 mx1.example.net"], "A": ["192.0.2.1"], "TXT": ['"v=spf1 -all"']},
    "mx1.example.net": {"A": ["127.0.0.1", "127.0.0.2"], "AAAA": ["::1"]},
    "alias.example.net": {"CNAME": ["mx1.example.net"]},
    "null.example": {"MX": ["0 ."]},
    "broken.example": "SERVFAIL",
    "silent.example": "TIMEOUT",
    "large.example": "TRUNCATED",
    "large.example over TCP": {"A": ["192.0.2.9"]},
}


def resolver_of(server: FakeDns) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.port
    resolver.lifetime = 0.5
    return resolver


def test_it_answers_from_its_table(smx_dns: Callable[..., FakeDns]) -> None:
    server = smx_dns(ZONE)
    resolver = resolver_of(server)

    def ask(name: str, kind: str) -> list[str]:
        return sorted(record.to_text() for record in resolver.resolve(name, kind))

    assert ask("example.net", "MX") == ["10 mx1.example.net.", "20 mx2.example.net."]
    assert ask("EXAMPLE.net", "A") == ["192.0.2.1"]
    assert ask("mx1.example.net", "AAAA") == ["::1"]
    assert ask("alias.example.net", "A") == ["127.0.0.1", "127.0.0.2"]
    assert ask("example.net", "TXT") == ['"v=spf1 -all"']
    assert ask("null.example", "MX") == ["0 ."]
    assert ask("large.example", "A") == ["192.0.2.9"]
    assert server.queries[0] == ("example.net", "MX")


def test_no_name_no_data_and_trouble_are_told_apart(smx_dns: Callable[..., FakeDns]) -> None:
    resolver = resolver_of(smx_dns({**ZONE, "a.parent.example": {"A": ["192.0.2.3"]}}))
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nowhere.example", "A")
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve("mx1.example.net", "MX")
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve("parent.example", "A")
    with pytest.raises(dns.resolver.NoNameservers):
        resolver.resolve("broken.example", "A")
    with pytest.raises(dns.exception.Timeout):
        resolver.resolve("silent.example", "A")
