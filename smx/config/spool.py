"""The spool: makes its directories, and checks their owners and modes (SX69).

When the processes run under users of their own, the directories that they share belong to one group and are setgid (new files get the group)
and sticky (nobody removes the files of another); otherwise everything is for one user alone.
"""

import grp
import os
import pwd
import stat
from typing import Final

from msgspec import Struct

from smx.config.schema import Settings

FILES_MAX: Final = 10_000  # looked at for each directory


class Part(Struct, frozen=True):
    """One directory below the spool; the empty name is the spool itself."""

    name: str
    owner: str  # kind of the process that owns it; empty: whoever starts smx
    private_mode: int  # one user
    shared_mode: int  # several users
    holds: str


LAYOUT: Final = (
    Part("", "", 0o700, 0o711, "everything"),
    Part("cdb", "qmgr", 0o700, 0o3770, "content: written by smtps and qmgr, read by smtpc; qmgr removes it, so it owns the sticky directory"),
    Part("ibdb", "qmgr", 0o700, 0o700, "envelopes of new mail"),
    Part("defedb", "qmgr", 0o700, 0o700, "envelopes of deferred mail"),
    Part("run", "", 0o700, 0o3770, "sockets"),
    Part("log", "", 0o700, 0o3770, "logs"),
    Part("mcp", "", 0o700, 0o700, "the epoch"),
    Part("maildirs", "lda", 0o700, 0o700, "mail of the local users"),
)


class SpoolProblem(Struct, frozen=True):
    """What is wrong with one path, and what to do."""

    path: str
    message: str
    remedy: str

    def render(self) -> str:
        """One line."""
        return f"{self.path}: {self.message}; {self.remedy}"


def is_shared(settings: Settings) -> bool:
    """Whether processes run under users of their own."""
    return bool({user for user in (settings.qmgr.user, settings.smar.user, settings.smtpc.user, settings.lda.user, *_server_users(settings)) if user})


def _server_users(settings: Settings) -> list[str]:
    return [server.user for server in settings.smtps]


def parts(settings: Settings) -> list[tuple[str, Part]]:
    """(path, part) of each directory; that of the Maildirs is where lda.maildirs says, and absent without an lda."""
    found = []
    for part in LAYOUT:
        path = os.path.join(settings.spool, part.name) if part.name else settings.spool
        if part.name == "maildirs":
            if "lda" not in settings.order:
                continue
            path = os.path.dirname(settings.lda.maildirs.partition("%")[0])
        found.append((path, part))
    return found


def prepare(settings: Settings) -> None:
    """Make the directories that are missing, durably; those that exist are left as they are. OSError as it comes."""
    shared = is_shared(settings)
    for path, part in parts(settings):
        if os.path.isdir(path):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path, 0o700)
        if os.geteuid() == 0:
            os.chown(path, _owner(settings, part), _group(settings, part))
        os.chmod(path, part.shared_mode if shared else part.private_mode)
        _sync(path)
        _sync(os.path.dirname(path))  # the name is durable only when its directory is (F5)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _user(settings: Settings, part: Part) -> str:
    return {"qmgr": settings.qmgr.user, "lda": settings.lda.user}.get(part.owner, "")


def _owner(settings: Settings, part: Part) -> int:
    """uid, or -1 for whoever makes it."""
    user = _user(settings, part)
    return pwd.getpwnam(user).pw_uid if user else -1


def _group(settings: Settings, part: Part) -> int:
    """gid, or -1."""
    group = settings.mcp.group
    return grp.getgrnam(group).gr_gid if group and part.shared_mode & 0o070 else -1


def inspect(settings: Settings) -> list[SpoolProblem]:
    """What is wrong with owners and modes; a spool that does not exist yet is no problem, a part of it that is missing is."""
    if not os.path.lexists(settings.spool):
        return []
    problems = []
    for path, part in parts(settings):
        if part.name != "maildirs" or os.path.dirname(path) == settings.spool:  # elsewhere, like in /home, its modes are not ours to judge
            problems += _inspect_part(path, part, settings)
    return problems


def _inspect_part(path: str, part: Part, settings: Settings) -> list[SpoolProblem]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return [SpoolProblem(path, f"is missing ({part.holds})", "smx run makes it; if it was there before, find out where it went first")]
    except OSError as error:
        return [SpoolProblem(path, f"cannot be looked at: {error.strerror}", "run the check as the user who runs smx")]
    if not stat.S_ISDIR(found.st_mode):
        return [SpoolProblem(path, "is not a directory", "move it away")]
    problems = []
    wanted = part.shared_mode if is_shared(settings) else part.private_mode
    mode = stat.S_IMODE(found.st_mode)
    if mode != wanted:
        why = "others could get at it" if mode & ~wanted & 0o077 else "a process could be locked out"
        problems.append(SpoolProblem(path, f"has mode {mode:04o}, expected {wanted:04o}: {why} ({part.holds})", f"chmod {wanted:04o} {path}"))
    problems += _inspect_owner(path, part, settings, found)
    return problems + (_inspect_files(path) if part.name in ("cdb", "ibdb", "defedb", "mcp") else [])


def _inspect_owner(path: str, part: Part, settings: Settings, found: os.stat_result) -> list[SpoolProblem]:
    """The owner is the process's user; without one, the owner of the spool, who must be the one who asks (root may ask as well)."""
    owner = _owner(settings, part)
    if owner < 0:
        owner = os.lstat(settings.spool).st_uid if part.name else (os.geteuid() or found.st_uid)
    problems = []
    if found.st_uid != owner:
        problems.append(SpoolProblem(path, f"belongs to {_user_name(found.st_uid)}, expected {_user_name(owner)}", f"chown {_user_name(owner)} {path}"))
    group = _group(settings, part) if is_shared(settings) else -1
    if group >= 0 and found.st_gid != group:
        problems.append(SpoolProblem(path, f"has another group than {settings.mcp.group}", f"chgrp {settings.mcp.group} {path}"))
    return problems


def _inspect_files(path: str) -> list[SpoolProblem]:
    """No file of the queue may be open to others."""
    problems = []
    try:
        with os.scandir(path) as entries:
            for _, entry in zip(range(FILES_MAX), entries, strict=False):
                mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                if not entry.is_symlink() and mode & 0o007:
                    problems.append(SpoolProblem(entry.path, f"has mode {mode:04o}: others could get at it", f"chmod o= {entry.path}"))
    except PermissionError:
        return []  # the mode or the owner of the directory has been reported, or it is that of another user by intention
    return sorted(problems, key=lambda problem: problem.path)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
