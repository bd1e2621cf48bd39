"""`smx-loadgen`: sends generated mail to a server by SMTP or LMTP, at a rate or as fast as it is taken, and tells what came of it (SX70).

Statuses: 0 every message that was begun was acknowledged, or abandoned by a fault that was asked for; 1 some were not; 64 wrong usage; 69 nobody
answered; 73 the ledger cannot be written.
"""

import argparse
import os
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from smx.cli import load_common
from smx.cli.load_common import EX_CANTCREAT, EX_FAILED, EX_OK, EX_UNAVAILABLE, complain, fault_help, fault_of, host_name, kind, natural, positive, seconds
from smx.config.text import parse_number, parse_size
from smx.testing.load.addresses import distinct, parse_pattern
from smx.testing.load.draws import parse_draw, parse_series
from smx.testing.load.faults import CLIENT_KINDS, CLIENT_STAGES
from smx.testing.load.options import ARRIVALS, PIPELINING, LoadOptions
from smx.testing.load.target import parse_target

if TYPE_CHECKING:
    from smx.testing.load.generator import Generator
    from smx.testing.load.report import LoadReport

PROGRAM: Final = "smx-loadgen"
RATE_MAX: Final = 1e6
DISTRIBUTIONS: Final = """\
distributions:
  --size, --recipients  NUMBER, uniform:LOW-HIGH, lognormal:MEDIAN:SIGMA[:MAX], mix:NUMBER=WEIGHT,NUMBER=WEIGHT...
  --users, --domains    N (1 to N in turn), uniform:N, zipf:N[:EXPONENT]
"""
EXAMPLES: Final = """
as fast as it is taken, 20 sessions, a message each:       smx-loadgen 127.0.0.1:2525 --sessions 20 --messages 10000
the same, sessions kept:                                   smx-loadgen 127.0.0.1:2525 --sessions 20 --messages 10000 --keep
200 a second for a minute, sizes as in real mail:          smx-loadgen mx.example.org --rate 200 --duration 1m --sessions 100 \\
                                                               --size lognormal:8KiB:1.5:10MiB
many recipients in many domains:                           smx-loadgen :2525 --messages 1000 --recipients uniform:1-50 --domains zipf:500
one client in a hundred vanishes after DATA:               smx-loadgen :2525 --messages 5000 --fault vanish@content:0.01
what was promised, for smx-sink --check:                   smx-loadgen :2525 --messages 5000 --ledger promised.jsonl
to an LMTP server:                                         smx-loadgen /run/dovecot/lmtp --lmtp --to u%d@example.org
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(load_common.words_of(arguments))
    options = _options(parser, given)
    from smx.testing.load.generator import reason

    try:
        report: LoadReport = load_common.run_loop(lambda: _run(options))
    except PermissionError as error:
        return complain(PROGRAM, f"{error.filename}: {reason(error)}", EX_CANTCREAT)
    except OSError as error:
        if error.filename:
            return complain(PROGRAM, f"the ledger {error.filename} cannot be written: {reason(error)}", EX_CANTCREAT)
        return complain(PROGRAM, f"the host of {options.target.text} is not found: {error.strerror}; check its name", EX_UNAVAILABLE)
    _show(report, as_json=given.json)
    if report.begun and not report.connections:
        return complain(PROGRAM, f"nobody answered at {options.target.text}: {', '.join(report.errors)}; is the server running there?", EX_UNAVAILABLE)
    return EX_OK if report.acknowledged + report.abandoned == report.begun else EX_FAILED


async def _run(options: LoadOptions) -> "LoadReport":
    from smx.testing.load.generator import Generator

    with load_common.Status() as status:
        generator = Generator(options, lambda running: status.say(progress(running)))
        load_common.on_signals(generator.stop, generator.abort)
        return await generator.run()


def progress(generator: "Generator") -> str:
    """One line."""
    tally, options = generator.tally, generator.options
    elapsed_s = max(time.perf_counter() - generator.began_at, 1e-9)
    done = tally.ends["acknowledged"]
    of = f" of {options.messages:,}" if options.messages else ""
    rest = sum(tally.ends.values()) - done
    whole = tally.latency["whole"]
    parts = [f"{done:,}{of} acknowledged", f"{done / elapsed_s:,.0f}/s", f"{elapsed_s:.0f} s", f"p99 {whole.percentile(99) / 1e3:.1f} ms"]
    return " · ".join([*parts, f"{rest:,} not"] if rest else parts)


def _show(report: "LoadReport", *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    from rich.console import Console

    from smx.testing.load.report import show_load

    show_load(report, Console())


# --- options


def _parser() -> load_common.Parser:
    parser = load_common.new_parser(PROGRAM, "Send generated mail to a server, and tell what came of it.", EXAMPLES)
    parser.epilog = f"{DISTRIBUTIONS}\n{fault_help(CLIENT_KINDS, CLIENT_STAGES)}\n\n{parser.epilog}"
    add = parser.add_argument
    add("target", metavar="TARGET", type=kind(_target), help="HOST, HOST:PORT, :PORT (this machine), [ADDRESS]:PORT, or the path of a UNIX socket")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    group = parser.add_argument_group("how much, how fast")
    add = group.add_argument
    add("--sessions", type=kind(positive), default=1, metavar="N", help="connections at a time, at most (default 1)")
    add("--messages", type=kind(positive), default=0, metavar="N", help="end after so many (default 1, or no bound with --duration)")
    add("--duration", type=kind(seconds), default=0.0, metavar="TIME", help="end after so long: 30s, 5m")
    add("--rate", type=kind(_rate), default=0.0, metavar="N", help="messages a second are due, whatever the server does (open loop); else as fast as possible")
    add("--arrivals", choices=ARRIVALS, default="poisson", help="how they are spread (default poisson)")
    add("--keep", type=kind(natural), nargs="?", const=0, default=1, metavar="N", help="messages in one session; without N: no bound (default 1)")
    group = parser.add_argument_group("what is sent")
    add = group.add_argument
    add("--size", type=kind(lambda text: parse_draw(text, parse_size)), metavar="SIZE", help="octets of a message (4KiB): SIZE or a distribution, see below")
    add("--recipients", type=kind(lambda text: parse_draw(text, parse_number)), metavar="N", help="of a message (1): N or a distribution")
    add("--to", type=kind(parse_pattern), default="u%d@d%d.example", metavar="PATTERN", help="recipients; %%d is a number (default u%%d@d%%d.example)")
    add("--users", type=kind(parse_series), metavar="N", help="numbers of the local part: N in turn (1000), uniform:N, zipf:N[:EXPONENT]")
    add("--domains", type=kind(parse_series), metavar="N", help="numbers of the domain (1), in the same way")
    add("--from", dest="sender", type=kind(_sender), default="load@client.example", metavar="MAILBOX", help="reverse-path; '' is the null one")
    add("--body", metavar="FILE", help="send this body instead of one of --size")
    group = parser.add_argument_group("how it is said")
    add = group.add_argument
    add("--lmtp", action="store_true", help="speak LMTP")
    add("--pipelining", choices=PIPELINING, default="auto", help="auto: where it is offered; on: always (default auto)")
    add("--chunking", action="store_true", help="BDAT instead of DATA")
    add("--tls", choices=("none", "starttls"), default="none", help="certificates are not verified (default none)")
    add("--helo", type=kind(host_name), default="client.example", metavar="NAME", help="our name in EHLO (default client.example)")
    add("--timeout", type=kind(seconds), default=60.0, metavar="TIME", help="give a silent server up after so long (default 60s)")
    group = parser.add_argument_group("trouble")
    add = group.add_argument
    add("--fault", action="append", type=fault_of(CLIENT_KINDS), default=[], metavar="FAULT", help="do something wrong, see below")
    add("--retry", type=kind(natural), default=0, metavar="N", help="try a message that got 4yz so many times again (default 0)")
    add("--retry-after", type=kind(seconds), default=1.0, metavar="TIME", help="after so long (default 1s)")
    group = parser.add_argument_group("records")
    add = group.add_argument
    add("--seed", default="0", help="of sizes, recipients, arrivals and faults: the same seed draws the same (default 0)")
    add("--run", type=kind(_run_name), metavar="NAME", help="beginning of every token (default: a new one each time)")
    add("--ledger", default="", metavar="FILE", help="write what was acknowledged, as JSON lines")
    return parser


def _options(parser: load_common.Parser, given: argparse.Namespace) -> LoadOptions:
    """The options, checked against each other."""
    if given.body and given.size:
        parser.error("--body and --size do not go together: the file says how long it is; leave one out")
    if any(fault.name == "early@mail" for fault in given.fault) and given.tls != "none":
        parser.error("--fault early@mail does not go with --tls: STARTTLS stands between EHLO and MAIL")
    chosen: dict[str, Any] = {
        name: getattr(given, name)
        for name in ("target", "sessions", "rate", "arrivals", "to", "sender", "keep", "pipelining", "chunking", "lmtp", "ledger", "seed")
    }
    chosen |= {name: value for name in ("size", "recipients", "users", "domains") if (value := getattr(given, name)) is not None}
    options = LoadOptions(
        **chosen,
        messages=given.messages or (0 if given.duration else 1),
        duration_s=given.duration,
        hostname=given.helo,
        body=_body(parser, given.body),
        tls=_context() if given.tls == "starttls" else None,
        faults=tuple(given.fault),
        retries=given.retry,
        retry_after_s=given.retry_after,
        timeout_s=given.timeout,
        run=given.run or os.urandom(4).hex(),
    )
    if options.recipients.most > (there := distinct(options)):
        parser.error(
            f"--recipients: a message may have {options.recipients.most}, but --to {options.to}, --users and --domains make only {there} different ones:"
            " raise one of them"
        )
    return options


def _context() -> ssl.SSLContext:
    """Encrypts, and trusts everybody: the load is what is tested."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _body(parser: load_common.Parser, path: str | None) -> bytes:
    if not path:
        return b""
    try:
        with open(path, "rb") as file:
            body = file.read()
    except OSError as error:
        parser.error(f"--body: {path} cannot be read: {error.strerror}")
    if not body:
        parser.error(f"--body: {path} is empty: leave --body out for a body that is made up")
    return body


def _target(text: str) -> Any:
    target = parse_target("127.0.0.1" + text if text.startswith(":") else text)
    if not target.path and not target.port:
        raise ValueError("port 0 is nobody's: expected 1 to 65535")
    return target


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.0 < rate <= RATE_MAX:
        raise ValueError(f"expected messages a second, above 0 and at most {RATE_MAX:,.0f}, not {text!r}")
    return rate


def _sender(text: str) -> str:
    if text and ("@" not in text or not text.isascii() or any(octet in text for octet in " <>\r\n\t")):
        raise ValueError(f"expected a mailbox such as load@client.example, or '', not {text!r}")
    return text


def _run_name(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum() or len(text) > 40:
        raise ValueError(f"expected at most 40 letters, digits, - and _, not {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())
