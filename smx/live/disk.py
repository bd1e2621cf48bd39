"""Disk: the system calls by which stores and Maildirs reach the file system, in one object that tests can replace by a failing one."""

import errno
import os
from collections.abc import Callable
from resource import RLIMIT_NOFILE, getrlimit
from typing import Final

DESCRIPTORS: Final = "/proc/self/fd"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk:
    """The real one. Every method raises OSError as the system call does."""

    open: Callable[..., int] = staticmethod(os.open)
    close: Callable[[int], None] = staticmethod(os.close)
    pread: Callable[[int, int, int], bytes] = staticmethod(os.pread)
    fdatasync: Callable[[int], None] = staticmethod(os.fdatasync)
    fsync: Callable[[int], None] = staticmethod(os.fsync)
    fallocate: Callable[[int, int, int], None] = staticmethod(os.posix_fallocate)
    ftruncate: Callable[[int, int], None] = staticmethod(os.ftruncate)
    unlink: Callable[[str], None] = staticmethod(os.unlink)
    rename: Callable[[str, str], None] = staticmethod(os.rename)
    mkdir: Callable[[str, int], None] = staticmethod(os.mkdir)
    listdir: Callable[[str], list[str]] = staticmethod(os.listdir)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def file_size(self, path: str) -> int:
        return os.stat(path).st_size

    def free_octets(self, path: str) -> int:
        """What an ordinary user may still write on the file system of `path`."""
        space = os.statvfs(path)
        return space.f_bavail * space.f_frsize

    def free_descriptors(self) -> int:
        """How many more files and sockets this process may open; -1: this system does not tell."""
        try:
            return max(getrlimit(RLIMIT_NOFILE)[0] - len(os.listdir(DESCRIPTORS)), 0)
        except FileNotFoundError:
            return -1

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def write_all(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of `data` at `offset`: a short write is continued, and ends in the error that cut it short."""
        written = self.pwrite(descriptor, data, offset)
        while written < len(data):
            written += self.pwrite(descriptor, memoryview(data)[written:], offset + written)

    def begin_writing(self, descriptor: int) -> None:
        """Have the kernel begin to write what it holds of a file, and do not wait: nothing is durable by that, but a sync that follows is shorter."""
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.fsync(descriptor)
        finally:
            self.close(descriptor)


def is_full(error: OSError) -> bool:
    """The disk, or our share of it, is full: `no_space` in events (A10)."""
    return error.errno in FULL


def reason(error: OSError) -> str:
    """What went wrong, without paths."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
