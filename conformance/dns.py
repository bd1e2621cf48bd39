"""Dns: the suite's name server: what the cases' zones say, over UDP and TCP; it remembers what it was asked.

It is the only server that the target asks, so it knows nothing else: every name that no case set does not exist. Names are case-insensitive.
"""

import asyncio
import itertools
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from msgspec import structs

from conformance.wire import Query, Record

CHAIN_MAX: Final = 8  # CNAMEs that are followed
UDP_OCTETS: Final = 512
_SOA: Final = "ns.suite.test. hostmaster.suite.test. 1 3600 600 86400 1"


class Zones:
    """All records, by name. `asked`: every question in order."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self._records: dict[str, list[Record]] = {}
        self._above: set[str] = set()

    def replace(self, below: str, records: Iterable[Record]) -> None:
        """Forget what was at and below this name, and say this."""
        for name in [name for name in self._records if is_below(name, below)]:
            del self._records[name]
        for record in records:
            self._records.setdefault(record.name.lower(), []).append(record)
        self._above = {name.split(".", number)[-1] for name in self._records for number in range(1, name.count(".") + 1)}

    def queries(self, below: str) -> tuple[Query, ...]:
        return tuple(query for query in self.asked if is_below(query.name, below))

    def answer(self, octets: bytes, *, tcp: bool) -> bytes:
        """The reply to a question; b"" for silence."""
        question = dns.message.from_wire(octets)
        asked = question.question[0]
        name, rrtype = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append(Query(name, rrtype))
        response = dns.message.make_response(question, recursion_available=True)
        failure = self._fill(response, name, rrtype)
        if failure == "TIMEOUT":
            return b""
        if failure:
            response.answer.clear()
            response.set_rcode(dns.rcode.from_text(failure))
        try:
            return response.to_wire(max_size=65_535 if tcp else max(question.payload, UDP_OCTETS))
        except dns.exception.TooBig:
            short = dns.message.make_response(question, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()

    def _fill(self, response: dns.message.Message, name: str, rrtype: str) -> str:
        """Adds the records, following CNAME; gives the failure instead if there is one."""
        failure, found = self.find(name, rrtype)
        if failure and (failure != "NXDOMAIN" or not found):
            return failure
        for owner, group in itertools.groupby(found, key=lambda record: record.name):
            records = list(group)
            texts = [record.data for record in records]
            response.answer.append(dns.rrset.from_text(dns.name.from_text(owner), records[0].ttl_s, "IN", records[0].rrtype, *texts))
        if not found or found[-1].rrtype != rrtype:
            self._negative(response)
        return ""

    def find(self, name: str, rrtype: str) -> tuple[str, list[Record]]:
        """(failure or "", the records of a name and type, behind the CNAMEs that lead to them). A wildcard's records bear the name that was asked."""
        chain: list[Record] = []
        for _ in range(CHAIN_MAX):
            found = self._at(name)
            if found is None:
                return "NXDOMAIN", chain
            chosen = [record for record in found if record.rrtype in (rrtype, "*")] or [record for record in found if record.rrtype == "CNAME"]
            failures = [record.data[1:] for record in chosen if record.data.startswith("!")]
            if failures:
                return failures[0], []
            chain += [structs.replace(record, name=name) for record in chosen]
            if not chosen or chosen[0].rrtype == rrtype:
                return "", chain
            name = chosen[0].data.rstrip(".").lower()
        return "", chain

    def _at(self, name: str) -> list[Record] | None:
        """The records of a name, or of the wildcard that stands for it; [] for a name with something below it, None for one that does not exist."""
        if name in self._records:
            return self._records[name]
        if name in self._above:
            return []
        parent = name.partition(".")[2]
        while parent:
            if f"*.{parent}" in self._records:
                return self._records[f"*.{parent}"]
            if parent in self._records or parent in self._above:
                return None
            parent = parent.partition(".")[2]
        return None

    def _negative(self, response: dns.message.Message) -> None:
        response.authority.append(dns.rrset.from_text(dns.name.from_text("test."), 1, "IN", "SOA", _SOA))


class Server(asyncio.DatagramProtocol):
    """The sockets. `port` is that of both."""

    def __init__(self, zones: Zones) -> None:
        self.port = 0
        self._zones: Final = zones
        self._udp: Any = None
        self._tcp: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address is taken, or needs root."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve, host, port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        await loop.create_datagram_endpoint(lambda: self, (host, self.port))

    async def stop(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._udp = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        with suppress(dns.exception.DNSException, IndexError):
            answer = self._zones.answer(data, tcp=False)
            if answer:
                self._udp.sendto(answer, addr)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError, dns.exception.DNSException, IndexError):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self._zones.answer(await reader.readexactly(length), tcp=True)
                if answer:
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        writer.close()


def is_below(name: str, top: str) -> bool:
    """Whether a name is this one or stands below it."""
    name, top = name.lower(), top.lower()
    return name == top or name.endswith("." + top)
