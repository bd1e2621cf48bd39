"""`smx-sink`: takes mail by SMTP or LMTP, counts it, keeps it nowhere, and misbehaves where it is told to (SX70).

It ends at SIGINT or SIGTERM, after --messages, or after --idle without traffic, and then reports. With --read nothing is listened to: a file that
--keep jsonl:FILE wrote is compared with the ledger. Statuses: 0; 1 --check found lost mail; 64 wrong usage; 65 a file is not what it should be;
69 the address cannot be bound; 73 what is kept cannot be written.
"""

import argparse
import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from smx.cli import load_common
from smx.cli.load_common import (
    EX_CANTCREAT,
    EX_DATAERR,
    EX_FAILED,
    EX_OK,
    EX_UNAVAILABLE,
    complain,
    fault_help,
    fault_of,
    host_name,
    kind,
    natural,
    seconds,
)
from smx.config.text import parse_size
from smx.testing.load.faults import SERVER_KINDS, SERVER_STAGES
from smx.testing.load.keep import parse_keep
from smx.testing.load.options import EXTENSIONS, SinkOptions
from smx.testing.load.target import Target, parse_target

if TYPE_CHECKING:
    from smx.testing.load.ledger import Check
    from smx.testing.load.report import SinkReport
    from smx.testing.load.sink import Sink

PROGRAM: Final = "smx-sink"
SETTLE_S: Final = 1.0  # longer than smx-loadgen keeps lines of its ledger back
EXAMPLES: Final = """
count what comes, until Ctrl-C:                  smx-sink 127.0.0.1:2526
end after 10,000 messages, or 10 quiet seconds:  smx-sink :2526 --messages 10000 --idle 10s
compare with what smx-loadgen was promised:      smx-sink :2526 --idle 10s --check promised.jsonl
the same later:                                  smx-sink :2526 --keep jsonl:arrived.jsonl; smx-sink --read arrived.jsonl --check promised.jsonl
a bad day: 4yz, lost replies, slow replies:      smx-sink :2526 --fault 451@rcpt:0.1 --fault swallow@dot:0.01 --fault slow@mail:0.05:3s
a greylisting host of few connections:           smx-sink :2526 --greylist 30s --max-connections 5
an LMTP server on a UNIX socket:                 smx-sink /tmp/lmtp.sock --lmtp
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(load_common.words_of(arguments))
    if given.read and not given.check:
        parser.error("--read compares a file with a ledger: name the ledger with --check")
    if given.read:
        return _compare(given)
    return _serve(_options(parser, given), given)


def _serve(options: SinkOptions, given: argparse.Namespace) -> int:
    from smx.testing.load.generator import reason

    try:
        sink: Sink = load_common.run_loop(lambda: _run(options, settle=bool(given.check)))
    except OSError as error:
        if error.filename and not options.target.path:
            return complain(PROGRAM, f"--keep: {error.filename} cannot be written: {reason(error)}", EX_CANTCREAT)
        return complain(PROGRAM, f"cannot listen at {options.target.text}: {reason(error)}; is another program there?", EX_UNAVAILABLE)
    found = None
    if given.check:
        try:
            found = sink.check(_promises(given.check))
        except (OSError, ValueError) as error:
            _show(sink.report(), as_json=given.json)
            return complain(PROGRAM, f"--check: {error}", EX_DATAERR)
    _show(sink.report(found), as_json=given.json)
    return EX_FAILED if found is not None and found.lost else EX_OK


async def _run(options: SinkOptions, *, settle: bool) -> "Sink":
    """`settle`: the last promises are still being written as the last message comes."""
    from smx.testing.load.sink import Sink

    sink = Sink(options)
    await sink.start()
    load_common.on_signals(sink.end, sink.end)
    print(f"{PROGRAM}: listening at {sink.target.text}", file=sys.stderr, flush=True)
    with load_common.Status() as status:
        before = 0
        while not await sink.wait_end(1.0):
            status.say(f"{sink.messages:,} messages · {sink.messages - before:,}/s · {len(sink.sessions)} connections")
            before = sink.messages
        if settle:
            await asyncio.sleep(SETTLE_S)
    await sink.stop()
    return sink


def _compare(given: argparse.Namespace) -> int:
    from smx.testing.load.ledger import check, read_copies

    try:
        found = check(_promises(given.check), read_copies(given.read))
    except (OSError, ValueError) as error:
        return complain(PROGRAM, str(error), EX_DATAERR)
    _show(found, as_json=given.json)
    return EX_FAILED if found.lost else EX_OK


def _promises(ledgers: list[str]) -> list[str]:
    from smx.testing.load.ledger import read_promises

    return [name for ledger in ledgers for name in read_promises(ledger)]


def _show(found: "SinkReport | Check", *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    from rich.console import Console

    from smx.testing.load.report import SinkReport, show_check, show_sink

    if isinstance(found, SinkReport):
        show_sink(found, Console())
    else:
        show_check(found, Console())


# --- options


def _parser() -> load_common.Parser:
    parser = load_common.new_parser(PROGRAM, "Take mail, count it, and misbehave where told to.", EXAMPLES)
    parser.epilog = f"{fault_help(SERVER_KINDS, SERVER_STAGES)}\n\n{parser.epilog}"
    add = parser.add_argument
    add("target", nargs="?", metavar="ADDRESS", type=kind(_target), help="HOST:PORT, :PORT (this machine), or the path of a UNIX socket (default :2526)")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--lmtp", action="store_true", help="speak LMTP")
    group = parser.add_argument_group("when it ends")
    add = group.add_argument
    add("--messages", type=kind(natural), default=0, metavar="N", help="after so many messages")
    add("--idle", type=kind(seconds), default=0.0, metavar="TIME", help="after so long without traffic, once there was some")
    group = parser.add_argument_group("what it keeps and compares")
    add = group.add_argument
    add("--keep", type=kind(parse_keep), metavar="KIND:PATH", help="jsonl:FILE (tokens), mbox:FILE or maildir:DIRECTORY (default: nothing)")
    add(
        "--check", action="append", default=[], metavar="LEDGER", help="compare with a ledger of smx-loadgen: lost, duplicated, never promised; may be repeated"
    )
    add("--read", metavar="FILE", help="do not listen: compare what --keep jsonl:FILE wrote")
    add("--no-tokens", action="store_true", help="remember nothing of a message: duplicates are not seen, memory does not grow")
    group = parser.add_argument_group("what it is like")
    add = group.add_argument
    add("--hostname", type=kind(host_name), default="sink.example", metavar="NAME", help="in greeting and EHLO (default sink.example)")
    add("--without", action="append", type=kind(_extension), default=[], metavar="EXTENSION", help=f"do not offer it: {', '.join(EXTENSIONS)}")
    add("--size-max", type=kind(parse_size), default=0, metavar="SIZE", help="larger messages get 552")
    add("--tls-certificate", metavar="FILE", help="offer STARTTLS with this certificate chain (PEM)")
    add("--tls-key", metavar="FILE", help="and this key")
    add("--max-connections", type=kind(natural), default=0, metavar="N", help="more get 421")
    add("--greylist", type=kind(seconds), default=0.0, metavar="TIME", help="a sender and recipient that are new get 450 for so long")
    add("--tarpit", type=kind(seconds), default=0.0, metavar="TIME", help="before each reply")
    add("--fault", action="append", type=fault_of(SERVER_KINDS), default=[], metavar="FAULT", help="do something wrong, see below")
    add("--seed", default="0", help="of the faults (default 0)")
    return parser


def _options(parser: load_common.Parser, given: argparse.Namespace) -> SinkOptions:
    if given.no_tokens and given.check:
        parser.error("--check needs the tokens that --no-tokens forgets: leave one out")
    if bool(given.tls_certificate) != bool(given.tls_key):
        parser.error("--tls-certificate and --tls-key belong together: name both")
    return SinkOptions(
        target=given.target or Target("127.0.0.1", 2526),
        lmtp=given.lmtp,
        messages=given.messages,
        idle_s=given.idle,
        connections_max=given.max_connections,
        size_max=given.size_max,
        extensions=tuple(name for name in EXTENSIONS if name not in given.without),
        tls=_context(parser, given),
        hostname=given.hostname,
        faults=tuple(given.fault),
        greylist_s=given.greylist,
        tarpit_s=given.tarpit,
        keep=given.keep or "",
        tokens=not given.no_tokens,
        seed=given.seed,
    )


def _context(parser: load_common.Parser, given: argparse.Namespace) -> ssl.SSLContext | None:
    if not given.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(given.tls_certificate, given.tls_key)
    except OSError as error:
        parser.error(f"--tls-certificate {given.tls_certificate}, --tls-key {given.tls_key}: {error.strerror or error}")
    return context


def _target(text: str) -> Any:
    return parse_target("127.0.0.1" + text if text.startswith(":") else text, 2526)


def _extension(text: str) -> str:
    name = text.upper()
    if name not in EXTENSIONS:
        raise ValueError(f"no extension is called {text!r}; there are {', '.join(EXTENSIONS)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
