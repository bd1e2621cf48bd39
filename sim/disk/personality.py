"""Personalities: what a file system promises beyond what POSIX does. The disk states its fault model here, before anything is built on it.

STRICT   what POSIX promises and no more. sync(file) makes its octets and size durable, not its name; a name is durable once its directory was
         synced. After a power loss any subset of the unsynced writes (F2) and of the unsynced changes of names (F5, F6) is there, each write
         possibly torn (F3), a size possibly extended without the data, showing zeros or octets of a file that was removed before (F4).
ORDERED  a journal of metadata, like ext4 with data=ordered. Changes of names become durable in the order in which they were made, all of a
         sync's past together, by the sync of any file or directory. A file grows in order: what extended it survives as a prefix, and a size
         is never there without its data. A rename over an existing file takes the data of the new one along (the heuristic that ext4 calls
         auto_da_alloc). Octets within the size, such as a preallocated one, still land in any order.
LYING    as STRICT, but a sync does nothing and says that it did (F13). No mail system survives it: it must be detected as such.

Never happens, under any of them: a durable octet or name is lost or changes by a power loss (that is corruption: flip, misdirect, F10);
an overwrite harms octets beside it (SQLite calls this powersafe overwrite); a rename takes a name away from a file without giving it the
new one; the death of a process loses anything (the page cache stays); closing a file makes anything durable (F15).
Not supported: hard links, removal and renaming of directories, permissions, because nothing in smx needs them.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Personality:
    name: str
    syncs: bool  # a sync makes durable what it says
    ordered: bool  # names become durable in order, sizes never without data


STRICT: Final = Personality("strict", syncs=True, ordered=False)
ORDERED: Final = Personality("ordered", syncs=True, ordered=True)
LYING: Final = Personality("lying", syncs=False, ordered=False)
PERSONALITIES: Final = {personality.name: personality for personality in (STRICT, ORDERED, LYING)}
