"""Choice streams for tests of the disk: drawn from a seed, or calm."""

import random


class Drawn:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/disk")

    def below(self, n: int) -> int:
        return self._random.randrange(n)


class Calm:
    def below(self, n: int) -> int:
        return 0


class Fixed:
    """These choices, then calm ones."""

    def __init__(self, *choices: int) -> None:
        self._choices = list(choices)

    def below(self, n: int) -> int:
        return min(self._choices.pop(0), n - 1) if self._choices else 0
