"""Options: what the generator and the sink are asked to do; the commands fill them in, tests make them directly."""

import ssl
from typing import Final

from msgspec import Struct

from smx.testing.load.draws import Draw, fixed
from smx.testing.load.faults import Fault
from smx.testing.load.target import Target

TIMEOUT_S: Final = 60.0
PIPELINING: Final = ("auto", "on", "off")
ARRIVALS: Final = ("poisson", "constant")
EXTENSIONS: Final = ("PIPELINING", "8BITMIME", "SIZE", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING")


class LoadOptions(Struct, frozen=True, kw_only=True):
    """Of a generator. Times in seconds, sizes in octets; 0 for `messages`, `duration_s`, `rate` and `keep` means: no such bound.

    `to`: a mailbox in which the first %d of the local part becomes a user's number and the first %d of the domain a domain's.
    `keep`: messages in one session. `pipelining` on: also where the server does not offer it. `retries`: of a message that got 4yz.
    `faults`: asked in this order. `run`: the beginning of every token; two runs with the same one look like duplicates.
    """

    target: Target
    sessions: int = 1
    messages: int = 0
    duration_s: float = 0.0
    rate: float = 0.0
    arrivals: str = "poisson"
    size: Draw = fixed(4096)
    recipients: Draw = fixed(1)
    to: str = "u%d@d%d.example"
    users: Draw = Draw("series", 1, 1000)
    domains: Draw = Draw("series", 1, 1)
    sender: str = "load@client.example"
    hostname: str = "client.example"
    body: bytes = b""
    keep: int = 1
    pipelining: str = "auto"
    chunking: bool = False
    tls: ssl.SSLContext | None = None
    lmtp: bool = False
    faults: tuple[Fault, ...] = ()
    retries: int = 0
    retry_after_s: float = 1.0
    timeout_s: float = TIMEOUT_S
    seed: str = "0"
    run: str = "load"
    ledger: str = ""


class SinkOptions(Struct, frozen=True, kw_only=True):
    """Of a sink. `messages`, `connections_max`: 0 is no bound; `idle_s` 0: never ends because nothing comes.

    `keep`: "", or `jsonl:FILE`, `mbox:FILE`, `maildir:DIRECTORY`. `tokens` off: nothing is remembered of a message, so that duplicates are not seen.
    """

    target: Target
    lmtp: bool = False
    messages: int = 0
    idle_s: float = 0.0
    connections_max: int = 0
    size_max: int = 0
    extensions: tuple[str, ...] = EXTENSIONS
    tls: ssl.SSLContext | None = None
    hostname: str = "sink.example"
    faults: tuple[Fault, ...] = ()
    greylist_s: float = 0.0
    tarpit_s: float = 0.0
    keep: str = ""
    tokens: bool = True
    seed: str = "0"
