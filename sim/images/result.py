"""Result: what a search has seen and found."""

import msgspec


class Found(msgspec.Struct, frozen=True):
    """A rule is broken. `where`: how to get there, for people; workload and seed repeat it."""

    rule: str
    what: str
    where: str
    workload: str = ""
    seed: int = 0

    def render(self) -> str:
        return f"{self.rule}: {self.what}\n  {self.where}"


class Result(msgspec.Struct):
    """`images`: distinct ones that were recovered; `nested_images`: distinct ones within a recovery, recovered as well."""

    depth: str = ""
    boundaries: int = 0
    images: int = 0
    nested_images: int = 0
    flips: int = 0  # of those, how many were corrupted (F10)
    found: list[Found] = []
    markers: dict[str, int] = {}

    def mark(self, name: str, times: int = 1) -> None:
        """A rare state was there."""
        self.markers[name] = self.markers.get(name, 0) + times

    def add(self, other: "Result") -> None:
        """Count another one in."""
        self.boundaries += other.boundaries
        self.images += other.images
        self.nested_images += other.nested_images
        self.flips += other.flips
        self.found.extend(other.found)
        for name, times in other.markers.items():
            self.mark(name, times)
