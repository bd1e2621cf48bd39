"""Profile: where the time of a process goes, sampled by pyinstrument while its loop runs, when SMX_PROFILE names a directory.

`smx bench --profile` sets it. Each process writes PROCESS.txt and PROCESS.html there when it ends. Sampling costs about a tenth.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DIRECTORY: Final = "SMX_PROFILE"
INTERVAL_S: Final = 0.001


@contextmanager
def profiled(process: str) -> Iterator[None]:
    """Profile what runs inside, if that was asked for."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        yield
        return
    from pyinstrument import Profiler

    profiler = Profiler(interval=INTERVAL_S, async_mode="disabled")
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        with open(f"{directory}/{process}.txt", "w", encoding="utf-8") as file:
            file.write(profiler.output_text(unicode=True, show_all=False))
        with open(f"{directory}/{process}.html", "w", encoding="utf-8") as file:
            file.write(profiler.output_html())
