"""`smx-mailq`: the queue in the classic form, one entry a message, with the reason why each recipient waits (SX65).

    -q, -v and other options of the classic command are taken and ignored; -C FILE names a configuration. Statuses: 0, 64 wrong usage,
    75 no smx is running, 78 no usable configuration. `smx queue ls` shows more and selects.

The letter behind the queue id: * is active, ! is held, # is quarantined.
"""

import sys
import time
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from smx.admin.queue import AdminUnreachableError, QueueTool, printable, queue_id, shown
from smx.cli.submit_to import NotConfiguredError, find_spool
from smx.messages import Filter, QueueRow
from smx.units import SECOND

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
MARKS: Final = {"active": "*", "held": "!", "quarantined": "#"}
HEAD: Final = f"{'--Queue ID--':<14}{'--Size--':>9}  {'----Arrival Time----':<20}  -Sender/Recipient-------"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    config = ""
    while words:
        word = words.pop(0)
        if word == "-C" and words:
            config = words.pop(0)
        elif word.startswith("-C") and len(word) > 2:
            config = word[2:]
        elif not word.startswith("-") or word in ("-h", "--help"):
            print("usage: smx-mailq [-C CONFIGURATION]", file=sys.stderr)
            return EX_USAGE
    try:
        with QueueTool(find_spool(config)) as tool:
            for line in listing(tool.rows(Filter())):
                print(line)
    except AdminUnreachableError as error:
        print(f"smx-mailq: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    except NotConfiguredError as error:
        print(f"smx-mailq: {error}", file=sys.stderr)
        return EX_CONFIG
    except BrokenPipeError:
        sys.stderr.close()
    return EX_OK


def listing(rows: Iterator[QueueRow]) -> Iterator[str]:
    """The lines of the listing; rows come in order of their transactions."""
    octets = messages = 0
    for _, group in groupby(rows, key=lambda row: row.transaction):
        recipients = list(group)
        first = recipients[0]
        if not messages:
            yield HEAD
        messages += 1
        octets += first.octets
        arrived = time.strftime("%a %b %e %H:%M:%S", time.localtime(first.arrived_at // SECOND))
        sender = shown(first.reverse_path) or "MAILER-DAEMON"
        yield f"{queue_id(first) + mark(recipients):<14}{first.octets:>9}  {arrived:<20}  {sender}"
        for row in recipients:
            if row.reason:
                yield f"{'':>14}({shown(row.reason)})"
            yield f"{'':>47}{shown(row.recipient) or printable(row.destination)}"
        yield ""
    yield f"-- {octets // 1024} Kbytes in {messages} {'request' if messages == 1 else 'requests'}." if messages else "Mail queue is empty"


def mark(rows: list[QueueRow]) -> str:
    """* when a recipient is active, else what concerns all of them."""
    states = {row.state for row in rows}
    if "active" in states:
        return "*"
    return MARKS.get(rows[0].state, "") if len(states) == 1 else ""


if __name__ == "__main__":
    sys.exit(main())
