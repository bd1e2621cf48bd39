"""Install: fetches the packaged MTAs and unpacks each into a folder of its own: `python -m conformance.profiles.install [NAME...]`.

Ordinary package clients do the fetching (apt-get, npm, pip); nothing is installed on the machine: no script of a package runs, so that MTAs that exclude each
other lie side by side. The folder is $SMX_CONFORMANCE_PEERS, or ~/.cache/smx-conformance.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from conformance.profiles.recipe import Recipe

TIMEOUT_S: Final = 600


def peers_home() -> Path:
    return Path(os.environ.get("SMX_CONFORMANCE_PEERS") or Path.home() / ".cache" / "smx-conformance")


def root_of(name: str) -> Path:
    """The files of an MTA, as they lie below the root of its image. Its VERSION is in there."""
    return peers_home() / name


def install(recipe: Recipe) -> None:
    """Does nothing when it is there. Raises OSError, subprocess.SubprocessError with what the client said."""
    root = root_of(recipe.name)
    if (root / "VERSION").exists():
        return
    work = root.with_name(f".{recipe.name}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if recipe.packages:
        _unpack(recipe.packages, work)
    if recipe.npm:
        _npm(recipe.npm, work)
    if recipe.pip:
        _pip(recipe.pip, work)
    version = _said(["/bin/sh", "-c", recipe.version], work).strip()
    (work / "VERSION").write_text(version + "\n")
    _one_usr(work)
    shutil.rmtree(root, ignore_errors=True)
    work.rename(root)


def _unpack(packages: tuple[str, ...], root: Path) -> None:
    """The packages and those that this machine lacks for them, versions in VERSION.debs."""
    planned = _said(["apt-get", "--simulate", "--reinstall", "--no-install-recommends", "install", *packages], root)
    names = list(dict.fromkeys([*packages, *(line.split()[1] for line in planned.splitlines() if line.startswith("Inst "))]))
    debs = root / "debs"
    debs.mkdir()
    _said(["apt-get", "download", *names], debs)
    for deb in sorted(debs.glob("*.deb")):
        _said(["dpkg-deb", "--extract", str(deb), str(root)], root)
    versions = [_said(["dpkg-deb", "--show", "--showformat", "${Package} ${Version}\n", str(deb)], root) for deb in sorted(debs.glob("*.deb"))]
    (root / "DEBS").write_text("".join(versions))
    shutil.rmtree(debs)


def _npm(packages: tuple[str, ...], root: Path) -> None:
    """As of $SMX_CONFORMANCE_NPM_BEFORE, a date, if that is set: for a registry that lags behind its own index."""
    before = os.environ.get("SMX_CONFORMANCE_NPM_BEFORE", "2026-08-01")
    home = root / "opt" / "npm"
    home.mkdir(parents=True)
    _said(["npm", "install", f"--before={before}", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *packages], home)


def _pip(packages: tuple[str, ...], root: Path) -> None:
    _said([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(root / "opt" / "pip"), *packages], root)


def _said(command: list[str], directory: Path) -> str:
    try:
        return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    except subprocess.CalledProcessError as error:
        raise OSError(f"{' '.join(command)}: {error.stderr.strip()[-500:]}") from error


def _one_usr(root: Path) -> None:
    """Where /lib and such are links into /usr, files of a package have to lie there as well, or they would hide the links."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (root / name).is_dir() and Path("/", name).is_symlink():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)


def main(names: list[str]) -> int:
    """Install those named, or all; 1 when one could not be had."""
    from conformance.profiles.recipes import RECIPES

    status = 0
    for name in names or list(RECIPES):
        try:
            install(RECIPES[name])
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"{name} {(root_of(name) / 'VERSION').read_text().strip()}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
