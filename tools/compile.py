"""Compile the step machines with mypyc into build/fast, beside the source, which stays as it is.

    python tools/compile.py            two minutes; needs mypy and a C compiler
    PYTHONPATH=build/fast smx run ...  runs with it; without PYTHONPATH everything is interpreted

Compiled are the modules of the pure core that every message passes. Modules that define Structs are not: mypyc does not hand the keywords
of a class (`frozen`, `tag`) to a metaclass. The same tests pass with it: `PYTHONPATH=build/fast pytest tests/smtp tests/smtps tests/smtpc`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / "build" / "fast"
PACKAGES: Final = ("smtp", "smtps", "smtpc", "qmgr", "smar", "cdb")
SINGLE: Final = ("codec.py", "ids.py")
UNFIT: Final = re.compile(r"^class .*\b(Struct|Value|Message)\b|\\ud800", re.MULTILINE)  # the latter: lone surrogates in a literal


def main() -> int:
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "smx", OUT / "smx", ignore=shutil.ignore_patterns("__pycache__"))
    names = [path.relative_to(OUT) for path in modules()]
    command = [str(Path(sys.executable).with_name("mypyc")), "--config-file", str(ROOT / "pyproject.toml"), *map(str, names)]
    print(f"compiling {len(names)} modules", flush=True)
    done = subprocess.run(command, cwd=OUT, env={**os.environ, "MYPYC_OPT_LEVEL": "2", "MYPYC_DEBUG_LEVEL": "0"}, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        return done.returncode
    shutil.rmtree(OUT / "build")
    print(f"use it with PYTHONPATH={os.path.relpath(OUT)}")
    return 0


def modules() -> list[Path]:
    """What is compiled."""
    found = [path for package in PACKAGES for path in sorted((OUT / "smx" / package).glob("*.py")) if path.name != "__init__.py"]
    found += [OUT / "smx" / name for name in SINGLE]
    return [path for path in found if not UNFIT.search(path.read_text())]


if __name__ == "__main__":
    sys.exit(main())
