"""DNS: carries out Query effects (SX45).

A question goes to the first name server by UDP; after a slice of the time-out, or at once when the server says that nobody listens,
refuses or fails, it goes to the next one, while answers of the earlier ones are still taken. A server that did not answer goes to
the end of the line for half a minute, so that a dead first server costs one slice and not one slice a question. Truncated answers
are asked for again by TCP (RFC 7766). CNAMEs are followed, in the answer and beyond it (RFC 1034 3.6.2).

Each question has its own socket on a port that the kernel draws, connected to the server, and a random id: what a forger must
guess (RFC 5452). dnspython builds and reads the messages; the exchange is our own, because the stub resolver of dnspython
waits for a dead server anew with every question.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.ttl

from smx.config.schema_smar import SmarSettings
from smx.effects import Query
from smx.events import Answered, DnsRecord

if TYPE_CHECKING:
    from smx.live.device import Orders
    from smx.live.runner import Runner

PAYLOAD_OCTETS: Final = 1232  # EDNS: what passes everywhere without fragments
DEAD_SECONDS: Final = 30.0
CHAIN_MAX: Final = 8  # answers that a CNAME may lead through
CONFIGURATION_DEFAULT: Final = (("127.0.0.1", 53),)
_REFUSALS: Final = (dns.rcode.FORMERR, dns.rcode.NOTIMP)

Server = tuple[str, int]


def system_servers() -> tuple[Server, ...]:
    """The name servers of /etc/resolv.conf; the one on this host when there is none (resolv.conf(5))."""
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException:
        return CONFIGURATION_DEFAULT
    found = tuple((str(address), system.port) for address in system.nameservers if isinstance(address, str) and "://" not in address)
    return found or CONFIGURATION_DEFAULT


class _Heard(NamedTuple):
    """What came to a socket: octets, or None when nobody listens there."""

    server: Server
    octets: bytes | None


class _Ear(asyncio.DatagramProtocol):
    """Puts what comes from one server into the question's queue."""

    def __init__(self, server: Server, heard: "asyncio.Queue[_Heard]") -> None:
        self._server = server
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._heard.put_nowait(_Heard(self._server, data))

    def error_received(self, exc: Exception) -> None:
        self._heard.put_nowait(_Heard(self._server, None))


class Failure(NamedTuple):
    """No answer that says anything. `plain`: the server may understand the question without EDNS (RFC 6891 7)."""

    reason: str
    plain: bool = False


class Resolver:
    """A stub resolver. `servers` are asked in this order; () takes those of the system.

    `timeout_us` bounds a question, whatever happens; `retries`: how often all servers are asked again when none answered.
    """

    def __init__(self, servers: Sequence[Server] = (), *, timeout_us: int, retries: int) -> None:
        self._servers = tuple(servers) or system_servers()
        self._timeout = timeout_us / 1_000_000
        self._retries = retries
        self._dead_until: dict[Server, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self, query: Query, deliver: Callable[[Answered], None]) -> None:
        """Begin to ask; `deliver` is called once, later, on the loop."""
        task = asyncio.get_running_loop().create_task(self._run(query, deliver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, query: Query, deliver: Callable[[Answered], None]) -> None:
        answered = await self.ask(query)
        if not self._closed:
            deliver(answered)

    def close(self) -> None:
        """Ask nothing more; deliver nothing more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """After close(): until every socket is closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, query: Query) -> Answered:
        """The answer; TEMP when there is none in time. Never raises."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(query)
        except TimeoutError:
            return Answered(query.request, "TEMP", reason=f"no answer within {self._timeout:g} s")

    async def _follow(self, query: Query) -> Answered:
        """Ask for the name, and for the name behind it when a CNAME leads out of the answer."""
        try:
            name = dns.name.from_text(query.name)
        except (dns.exception.DNSException, UnicodeError) as error:
            return Answered(query.request, "NXDOMAIN", reason=f"not a domain name: {error}")
        ttl = dns.ttl.MAX_TTL
        for _ in range(CHAIN_MAX):
            found = await self._exchange(dns.message.make_query(name, query.rrtype, use_edns=0, payload=PAYLOAD_OCTETS))
            if isinstance(found, Failure):
                return Answered(query.request, "TEMP", reason=found.reason)
            try:
                chain = found.resolve_chaining()
            except dns.exception.DNSException as error:
                return Answered(query.request, "TEMP", reason=f"a broken answer: {error or type(error).__name__}")
            ttl = min(ttl, chain.minimum_ttl)
            leads_on = chain.answer is None and chain.canonical_name != name and found.rcode() == dns.rcode.NOERROR and not _has_soa(found)
            if not leads_on:
                return _answered(query, found, chain, ttl)
            name = chain.canonical_name
        return Answered(query.request, "TEMP", reason="the CNAME chain is too long")

    # --- one exchange ---------------------------------------------------------------------------------------------------------

    def _order(self, now: float) -> list[Server]:
        """The servers, those that did not answer lately at the end."""
        return sorted(self._servers, key=lambda server: self._dead_until.get(server, 0.0) > now)

    async def _exchange(self, question: dns.message.QueryMessage) -> dns.message.QueryMessage | Failure:
        loop = asyncio.get_running_loop()
        plan = deque(self._order(loop.time()) * (self._retries + 1))
        patience = self._timeout / len(plan)
        heard: asyncio.Queue[_Heard] = asyncio.Queue()
        transports: list[asyncio.DatagramTransport] = []
        failure = Failure("no name server answered")
        refused: set[Server] = set()
        try:
            while plan:
                server = plan.popleft()
                if server in refused:
                    continue
                try:
                    transport, _ = await loop.create_datagram_endpoint(partial(_Ear, server, heard), remote_addr=server)
                except OSError as error:
                    failure = Failure(f"{server[0]}: {error.strerror or error}")
                    continue
                transports.append(transport)
                transport.sendto(question.to_wire())
                found = await self._listen(question, server, heard, loop.time() + patience)
                if isinstance(found, dns.message.QueryMessage):
                    return found
                failure = found or Failure(f"{server[0]} does not answer")
                if found is None:
                    self._dead_until[server] = loop.time() + DEAD_SECONDS
                elif found.plain and question.edns >= 0:
                    question.use_edns(-1)
                    plan.appendleft(server)
                else:
                    refused.add(server)
            return failure
        finally:
            for transport in transports:
                transport.close()

    async def _listen(
        self, question: dns.message.QueryMessage, server: Server, heard: "asyncio.Queue[_Heard]", until: float
    ) -> dns.message.QueryMessage | Failure | None:
        """The answer of this server, or of an earlier one that comes now; Failure: it said that it cannot; None: it was silent, or nobody is there."""
        while True:
            try:
                async with asyncio.timeout_at(until):
                    source, octets = await heard.get()
            except TimeoutError:
                return None
            if octets is None:
                if source == server:
                    return None
                continue
            found = await self._read(question, source, octets)
            if isinstance(found, dns.message.QueryMessage):
                self._dead_until.pop(source, None)
                return found
            if found is not None and source == server:
                return found

    async def _read(self, question: dns.message.QueryMessage, server: Server, octets: bytes) -> dns.message.QueryMessage | Failure | None:
        """The answer in these octets; None for octets that answer another question (they may be forged: RFC 5452 9.1)."""
        if len(octets) < 12 or octets[:2] != question.id.to_bytes(2, "big"):
            return None
        if octets[2] & 0x02:
            octets = await self._ask_by_tcp(question, server)
        try:
            found = dns.message.from_wire(octets)
        except (dns.exception.DNSException, ValueError, struct.error):
            return Failure(f"{server[0]} sent a broken answer")
        if not isinstance(found, dns.message.QueryMessage) or not (question.is_response(found) or _refuses(found)):
            return None
        if found.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Failure(f"{server[0]} says {dns.rcode.to_text(found.rcode())}", found.rcode() in _REFUSALS)
        return found

    async def _ask_by_tcp(self, question: dns.message.QueryMessage, server: Server) -> bytes:
        """The octets of the answer by TCP; b"" when there is none in half the time that a question has."""
        wire = question.to_wire()
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self._timeout / 2):
                reader, writer = await asyncio.open_connection(*server)
                writer.write(len(wire).to_bytes(2, "big") + wire)
                length = int.from_bytes(await reader.readexactly(2), "big")
                octets = bytearray(await reader.readexactly(length))
        except (OSError, EOFError):  # TimeoutError is an OSError
            return b""
        finally:
            if writer is not None:
                writer.close()
        if len(octets) > 2:
            octets[2] &= 0xFD  # TC means nothing here: never ask a third time
        return bytes(octets)


def _has_soa(message: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)


def _refuses(message: dns.message.Message) -> bool:
    """An error that repeats no question (FORMERR may)."""
    return message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and not message.question


# --- from messages to events ---------------------------------------------------------------------------------------------------


def _answered(query: Query, found: dns.message.QueryMessage, chain: dns.message.ChainingResult, ttl: int) -> Answered:
    name = chain.canonical_name.to_text(omit_final_dot=True).lower()
    if chain.answer is not None:
        records = tuple(_record(query.rrtype, rdata) for rdata in chain.answer)
        return Answered(query.request, "OK", records, ttl * 1_000_000, name)
    return Answered(query.request, "NXDOMAIN" if found.rcode() == dns.rcode.NXDOMAIN else "NODATA", (), ttl * 1_000_000, name)


def _record(kind: str, rdata: Any) -> DnsRecord:
    match kind:
        case "MX":
            return DnsRecord(rdata.preference, _host(rdata.exchange))
        case "A" | "AAAA":
            return DnsRecord(0, rdata.address)
        case "PTR":
            return DnsRecord(0, _host(rdata.target))
    return DnsRecord(0, b"".join(rdata.strings).decode("utf-8", "backslashreplace"))


def _host(name: dns.name.Name) -> str:
    """In lower case, without the trailing dot; "" for the root."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


# --- the device -----------------------------------------------------------------------------------------------------------------


class Dns:
    """The device that carries out Query for SMAR."""

    def __init__(self, runner: "Runner", settings: SmarSettings) -> None:
        self._runner = runner
        self._resolver = Resolver(settings.nameserver, timeout_us=settings.dns_timeout_us, retries=settings.dns_retries)

    def orders(self) -> "Orders":
        return {Query: self._query}

    def _query(self, effect: Query) -> None:
        self._resolver.start(effect, self._runner.deliver)

    def close(self) -> None:
        self._resolver.close()
