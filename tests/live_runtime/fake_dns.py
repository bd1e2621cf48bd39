"""A name server on loopback that misbehaves on request. Answers come from a zone; each server counts what it was asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Behaviour = Callable[[dns.message.Message, dns.message.Message, bool], dns.message.Message | bytes | None]


def rrset(text: str) -> dns.rrset.RRset:
    """`name TTL TYPE value`."""
    name, ttl, kind, value = text.split(" ", 3)
    return dns.rrset.from_text(name + ".", int(ttl), "IN", kind, value)


class FakeDns:
    """`zone`: (name, type) -> lines of the answer and, behind "/", of the authority section; what is not there does not exist."""

    def __init__(self, zone: dict[tuple[str, str], str], behaviour: Behaviour | None = None) -> None:
        self.zone = zone
        self.behaviour = behaviour
        self.asked: list[tuple[str, str, str]] = []
        self.address = ("127.0.0.1", 0)
        self.repeat: Callable[[], None] = lambda: None  # answer the last datagram, again or at last

    def reply(self, octets: bytes, *, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, "tcp" if tcp else "udp"))
        response = dns.message.make_response(query)
        text = self.zone.get((name.lower(), kind))
        if text is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            text = f"/{name} 600 SOA . . 1 2 3 4 60"
        answers, _, authority = text.partition("/")
        response.answer += [rrset(line) for line in answers.split("; ") if line]
        response.authority += [rrset(line) for line in authority.split("; ") if line]
        if self.behaviour is not None:
            changed = self.behaviour(query, response, tcp)
            return changed if changed is None or isinstance(changed, bytes) else changed.to_wire(max_size=65535)
        return response.to_wire(max_size=65535)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.server.repeat = lambda: self._answer(data, addr)
        self._answer(data, addr)

    def _answer(self, data: bytes, addr: Any) -> None:
        reply = self.server.reply(data, tcp=False)
        if reply is not None:
            self.transport.sendto(reply, addr)


def two_kinds_of_socket() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same free port."""
    for _ in range(100):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            continue
        return udp, tcp
    raise AssertionError("no port is free for both")


@asynccontextmanager
async def serving(server: FakeDns) -> AsyncIterator[FakeDns]:
    """The server listens on server.address meanwhile."""
    udp, tcp = two_kinds_of_socket()
    server.address = udp.getsockname()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = server.reply(await reader.readexactly(length), tcp=True)
        if reply is not None:
            writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
        writer.close()

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(server), sock=udp)
    listener = await asyncio.start_server(converse, sock=tcp)
    try:
        yield server
    finally:
        transport.close()
        listener.close()
        await listener.wait_closed()
