"""System calls: what `strace -f -y -xx -s 65536` wrote, read back, and the order that I2 demands of it.

For each `250 ... ID queued` that went to a client, before the first octet of it was handed to the socket:

    A1   the content of ID had been written to a file of CDB, and an fdatasync of that file, begun after the write, had ended well
    A13  the same for the envelope of ID and a file of IBDB

With -f a call that others interrupt stands in two lines, `<unfinished ...>` and `<... resumed>`: then the first is its begin, the second its end.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

from msgspec import Struct

from smx.ids import TEXT_OCTETS, id_number

CALLS = ("pwrite64", "pwritev", "write", "writev", "sendto", "sendmsg", "fdatasync", "fsync")
COMMAND = ("strace", "-f", "-y", "-xx", "-s", "65536", "--seccomp-bpf", "-e", f"trace={','.join(CALLS)}")
SYNCS = frozenset({"fdatasync", "fsync"})

_BEGUN = re.compile(r"^(\d+) +(?:\d+\.\d+ )?(\w+)\((\d+)<([^>]*)>(.*)$")
_RESUMED = re.compile(r"^(\d+) +(?:\d+\.\d+ )?<\.\.\. (\w+) resumed>(.*)$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_RESULT = re.compile(r"= (-?\d+)")


class Call(Struct):
    """One system call. `begin` and `end` are line numbers; `end` -1 and `result` -1 while it has not ended."""

    name: str
    path: str
    data: bytes
    begin: int
    end: int = -1
    result: int = -1

    @property
    def store(self) -> str:
        """The directory of the file: cdb, ibdb, defedb."""
        return PurePath(self.path).parent.name


def calls(trace: str) -> list[Call]:
    """In order of their begin. Lines that are no calls of ours are left out."""
    found: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(trace.splitlines()):
        if (begun := _BEGUN.match(line)) is not None:
            thread, name, _, path, rest = begun.groups()
            call = Call(name, _unescape(path).decode("utf-8", "backslashreplace"), b"".join(_strings(rest)), number)
            found.append(call)
            if rest.endswith("<unfinished ...>"):
                open_calls[thread] = call
            else:
                _end(call, number, rest)
        elif (resumed := _RESUMED.match(line)) is not None and (unfinished := open_calls.pop(resumed[1], None)) is not None:
            _end(unfinished, number, resumed[3])
    return found


def _end(call: Call, number: int, rest: str) -> None:
    result = _RESULT.findall(rest)
    call.end = number
    call.result = int(result[-1]) if result else -1


def _strings(text: str) -> Iterator[bytes]:
    return (_unescape(string) for string in _STRING.findall(text))


def _unescape(text: str) -> bytes:
    return _HEX.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1", "backslashreplace")


class Reply(Struct, frozen=True):
    """A positive reply to a final dot."""

    transaction: str
    delivered: bool  # by cut-through: nothing has to be durable (A12)
    at: int


_REPLY = re.compile(rb"250 2\.0\.0 (\w{%d}) (queued|delivered)\r\n" % TEXT_OCTETS)


def replies(found: list[Call]) -> list[Reply]:
    """In order."""
    sent = (call for call in found if call.path.startswith(("socket:", "TCP")))
    return [Reply(reply[1].decode(), reply[2] == b"delivered", call.begin) for call in sent for reply in _REPLY.finditer(call.data)]


def too_early(trace: str) -> list[str]:
    """What is wrong with the order: one sentence for each reply that came before a sync it needs. Empty when all is well."""
    found = calls(trace)
    writes = [call for call in found if call.name.startswith("pwrite") and call.store in ("cdb", "ibdb")]
    syncs = [call for call in found if call.name in SYNCS and call.result == 0]
    objections = []
    for reply in replies(found):
        if reply.delivered:
            continue
        content = b" id " + reply.transaction.encode()
        envelope = id_number(reply.transaction).to_bytes(8, "big")
        for store, mark in (("cdb", content), ("ibdb", envelope)):
            write = next((call for call in writes if call.store == store and mark in call.data), None)
            if write is None or write.end < 0 or write.end > reply.at:
                objections.append(f"250 for {reply.transaction} before anything of it was written to {store}")
            elif not any(sync.path == write.path and write.end < sync.begin and sync.end < reply.at for sync in syncs):
                objections.append(f"250 for {reply.transaction} before the sync of its {store} file")
    return objections


def syncs_by_store(trace: str) -> Counter[str]:
    """How often files of each store were synced; directories count under their own names with a slash behind."""
    return Counter(call.store if "." in PurePath(call.path).name else PurePath(call.path).name + "/" for call in calls(trace) if call.name in SYNCS)
