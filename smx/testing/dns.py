"""DNS: a name server on loopback that answers from a table, over UDP and TCP (F41).

    zone = {
        "example.net": {"MX": ["10 mx.example.net"], "A": ["127.0.0.1"]},
        "mx.example.net": {"A": ["127.0.0.1"]},
        "null.example": {"MX": ["0 ."]},
        "broken.example": "SERVFAIL",       # or REFUSED, TIMEOUT (no answer), TRUNCATED (whole answer over TCP only)
    }
    with FakeDns(zone) as dns: ...          # ("127.0.0.1", dns.port)

A name that is not in the table does not exist; one that is, or that stands above another, has no data of other types. `zone` may be changed at any time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from smx.testing.loop import LoopThread, Watch

TTL_S: Final = 60
Entry = Mapping[str, list[str]] | str
_SOA: Final = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 5"
_BINDS_MAX: Final = 20


class FakeDns:
    """`queries` holds (name, type) of everything that was asked, in order."""

    def __init__(self, zone: Mapping[str, Entry], ttl_s: int = TTL_S) -> None:
        self.zone: dict[str, Entry] = dict(zone)
        self.port = 0
        self.queries: list[tuple[str, str]] = []
        self.watch: Final = Watch()
        self._ttl_s: Final = ttl_s
        self._loop: Final = LoopThread("dns")
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    @property
    def nameserver(self) -> str:
        """As the configuration wants it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._listen())

    def stop(self) -> None:
        with suppress(RuntimeError):
            self._loop.call(self._close())
        self._loop.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def _listen(self) -> None:
        """The same free port for both."""
        loop = asyncio.get_running_loop()
        for _ in range(_BINDS_MAX):
            self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), ("127.0.0.1", self.port))
            except OSError:  # somebody has it for UDP
                self._tcp.close()
            else:
                return
        raise OSError("no port that is free for UDP and TCP")

    async def _close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(length), tcp=True)
                if answer:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        writer.close()

    def answer(self, octets: bytes, *, tcp: bool) -> bytes:
        """The reply to a question; b"" for silence."""
        question = dns.message.from_wire(octets)
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.watch.changed(lambda: self.queries.append((name, kind)))
        response = dns.message.make_response(question, recursion_available=True)
        entry = self.zone.get(name)
        if entry == "TIMEOUT":
            return b""
        if entry == "TRUNCATED":
            if not tcp:
                response.flags |= dns.flags.TC
                return response.to_wire()
            entry = self.zone.get(f"{name} over TCP", {})
        if isinstance(entry, str):
            response.set_rcode(dns.rcode.from_text(entry))
        else:
            self._fill(response, asked.name, name, kind, entry)
        return response.to_wire(max_size=65_535 if tcp else 0)

    def _fill(self, response: dns.message.Message, asked: dns.name.Name, name: str, kind: str, entry: Mapping[str, list[str]] | None) -> None:
        if entry is None and not any(other.endswith(f".{name}") for other in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        records = dict(entry or {})
        if "CNAME" in records and kind != "CNAME":
            response.answer.append(dns.rrset.from_text(asked, self._ttl_s, "IN", "CNAME", *(_absolute(value) for value in records["CNAME"])))
            target = records["CNAME"][0].rstrip(".")
            found = self.zone.get(target.lower())
            values = found.get(kind, []) if isinstance(found, Mapping) else []
            asked = dns.name.from_text(target)
        else:
            values = records.get(kind, [])
        if values:
            texts = [_absolute(value) if kind in ("MX", "PTR", "CNAME") else value for value in values]
            response.answer.append(dns.rrset.from_text(asked, self._ttl_s, "IN", kind, *texts))
        else:
            response.authority.append(dns.rrset.from_text(asked, self._ttl_s, "IN", "SOA", _SOA))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, tcp=False)
        if answer:
            self._transport.sendto(answer, addr)


def _absolute(value: str) -> str:
    return value if value.endswith(".") else f"{value}."
