"""Profiles: real MTAs in scratch folders: `running("postfix", directory)` starts one and gives its target."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.profiles import profile as base
from conformance.profiles.profile import Place, Profile, ProfileError
from conformance.profiles.recipes import RECIPES
from conformance.profiles.smx import Smx
from conformance.target import Target, parse

NAMES = ("smx", *RECIPES)


def named(name: str) -> Profile:
    """Raises ProfileError."""
    if name == "smx":
        return Smx()
    if name in RECIPES:
        from conformance.profiles.image import Peer

        return Peer(RECIPES[name])
    raise ProfileError(f"there is no profile {name}; there is {', '.join(NAMES)}")


def set_up(name: str, directory: Path) -> tuple[Target, "subprocess.Popen[bytes]"]:
    """Write everything below the directory, and start. Raises ProfileError."""
    profile = named(name)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    place = profile.place(directory)
    version = profile.version()
    special = profile.prepare(place)
    base.save(place)
    process = base.start(profile, place)
    return parse(base.facts(place, version, special)), process


@contextmanager
def running(name: str, directory: Path | None = None) -> Iterator[Target]:
    """An MTA while the block runs. Without a directory everything is removed at the end. Raises ProfileError."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix=f"conformance-{name}-", ignore_cleanup_errors=True) as scratch, running(name, Path(scratch)) as target:
            yield target
        return
    target, process = set_up(name, directory)
    try:
        yield target
    finally:
        base.stop(base.saved(directory))
        process.wait()


def do(verb: str, directory: Path) -> int:
    """A hook of the target file. Raises ProfileError."""
    place = base.saved(directory)
    profile = named(place.profile)
    if verb == "flush":
        return profile.flush(place)
    if verb in ("stop", "restart"):
        base.stop(place)
    if verb == "kill":
        base.kill(place)
    if verb in ("start", "restart") and not base.runs(place):
        base.start(profile, place)
    return 0


__all__ = ["NAMES", "Place", "Profile", "ProfileError", "do", "named", "running", "set_up"]
