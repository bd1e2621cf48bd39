"""Log: images of one seed's random history of the envelope log: every subset at every boundary, torn writes at drawn octets, survivors, flips.

Images of different seeds differ, for the epoch of a seed stands in the header of each of its segments; those without any record are not counted.
So it suffices to remember what one seed has shown.
"""

from collections.abc import Iterator
from typing import Final

from sim.choices import Choices, Stream
from sim.disk import Operation
from sim.disk.nodes import Write
from sim.images.history import Entry, is_whole_in
from sim.images.reading import FOLDER, LogJudge, oldest_of
from sim.images.result import Found, Result
from sim.images.seen import Seen
from sim.images.survivors import Files, digest_of, files_of
from sim.images.writer import Writer
from smx.qmgr.records import Header

SUBSET_MAX: Final = 3
LIVES_MAX: Final = 3
KILLS: Final = 6  # one life in so many ends by a kill
STEPS: Final = (10, 40)  # of a life
CUTS_MAX: Final = 40  # of a write
FLIPS_MAX: Final = 4  # at a boundary


class LogSeed:
    """One seed. `run` gives the result."""

    def __init__(self, seed: int) -> None:
        self.result = Result("log")
        self._seed = seed
        self._draw: Stream = Choices(seed).stream("images")
        self._writer = Writer(Choices(seed).stream("log"), seed)
        self._seen = Seen()
        self._judge = LogJudge(self._writer.history, self.result, self._seen, name="log", seed=seed)
        self._writer.on_change = self._on_change

    def run(self) -> Result:
        draw = self._draw
        writer = self._writer
        try:
            for life in range(draw.between(1, LIVES_MAX)):
                if life:
                    self._end_life()
                    self.result.mark(f"life {life + 1} of a log")
                writer.live(draw.between(*STEPS))
        except AssertionError as error:
            self.result.found.append(Found("BUG", f"{error}", f"log, seed {self._seed}", "log", self._seed))
        return self.result

    def _end_life(self) -> None:
        writer = self._writer
        self._judge.forget()
        if self._draw.below(KILLS) == 0:
            self.result.mark("killed, then recovered")
            writer.die()
            return
        image = writer.disk.survivor(self._draw)
        expected = writer.history.expected(files_of(image, FOLDER), count=len(writer.history.entries))
        writer.lose_power(expected.taken[-1] + 1 if expected.taken else 0, image)

    # --- images -------------------------------------------------------------------------------------------------------

    def _on_change(self, operation: Operation) -> None:
        if operation.kind == "close" or not operation.path.startswith(FOLDER):
            return
        writer = self._writer
        count = len(writer.history.entries)
        if not count:
            return
        where = f"life {writer.lives}, after operation {operation.number}: {operation.kind} {operation.path} at {operation.offset}"
        start = self._judge.boundary(writer.disk, count, where, max_subset=SUBSET_MAX, cuts=self._cuts)
        draw = self._draw
        if draw.below(4) == 0:
            self._survivor(count, start, where)
        if draw.below(12) == 0:
            for _ in range(1 + draw.below(FLIPS_MAX)):
                self._flip(count, where)

    def _cuts(self, write: Write) -> Iterator[Write]:
        """The write cut at some octets (F3)."""
        data = write.data or b""
        draw = self._draw
        for _ in range(min(len(data) - 1, CUTS_MAX)):
            cut = 1 + draw.below(len(data) - 1)
            if draw.below(8):
                yield write._replace(data=data[:cut])
            else:
                yield write._replace(offset=write.offset + cut, data=data[cut:])

    def _survivor(self, count: int, start: int, where: str) -> None:
        """One with everything that may happen: sizes without data, octets of removed files (F1 to F6)."""
        files = files_of(self._writer.disk.survivor(self._draw), FOLDER)
        if self._seen.is_new(digest_of(files)):
            self._judge.judge(files, count, start, f"{where}; a survivor")

    def _flip(self, count: int, where: str) -> None:
        """F10: a bit of a record that is there rots."""
        files = files_of(self._writer.disk.worst(), FOLDER)
        draw = self._draw
        entry = self._writer.history.entries[draw.below(count)]
        if (
            not is_whole_in(files, entry)
            or entry.segment < self._writer.history.beyond(files, oldest_of(files))
            or (self._writer.lives > 1 and self._at_an_edge(entry))
        ):
            return
        offset = entry.offset + draw.below(len(entry.octets))
        octet = files[entry.segment].read(offset, 1)
        rotten = files[entry.segment].copy()
        rotten.write(offset, bytes([octet[0] ^ (1 << draw.below(8))]))
        changed: Files = {segment: (rotten if segment == entry.segment else octets) for segment, octets in files.items()}
        if self._seen.is_new(digest_of(changed)):
            self.result.flips += 1
            self._judge.judge(changed, count, 0, f"{where}; a bit of octet {offset} of segment {entry.segment:x} flipped", rotten=entry.position)

    def _at_an_edge(self, entry: Entry) -> bool:
        """The first or the last record of its segment: when one of these rots, what an earlier recovery had set aside behind the end of a segment
        may be taken for history. Nobody was promised anything of it, and what was open is said again behind it: a known limit.
        """
        return type(entry.record) is Header or not any(other.segment == entry.segment and other.offset > entry.offset for other in self._writer.history.entries)
