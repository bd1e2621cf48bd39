"""Runner: plays cases against a target over sockets: groups with a sanity conversation at both ends, many cases at a time, some alone."""

import asyncio
import random
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, structs

from conformance.case import Case
from conformance.context import Context
from conformance.needs import first_lacking
from conformance.outcome import DEPENDENCY, HARNESS, INCONCLUSIVE, PASS, SETUP, SKIP, Verdict
from conformance.play import Play
from conformance.sanity import EXTENSION, extensions, sanity_of
from conformance.sockets import SocketWire, Stage
from conformance.target import Target
from conformance.transcript import Entry, printable

CASE_SECONDS_MAX: Final = 180.0
SLOW_SECONDS_MAX: Final = 6 * 3600.0
LABEL_MAX: Final = 30


class Result(Struct, frozen=True):
    """What became of a case. `transcript`: everything that was said."""

    id: str
    section: str
    level: str
    roles: tuple[str, ...]
    sentence: str
    tests: tuple[str, ...]
    link: str
    version: int
    outcome: str
    reason: str
    seconds: float
    transcript: tuple[Entry, ...] = ()


class Run(Struct, frozen=True):
    """A whole run. `sanity`: the conversations at the ends of groups. `seed`: of the order."""

    target: str
    target_version: str
    date: str
    seconds: float
    seed: int
    extensions: dict[str, str]
    results: tuple[Result, ...]
    sanity: tuple[Result, ...] = ()


class Options(Struct, frozen=True):
    """`slow`: run the slow cases as well. `seed`: order of the cases; 0: as in the catalogue. `parallel`: 0: what the target file says."""

    slow: bool = False
    seed: int = 0
    parallel: int = 0


Progress = Callable[[Result], None]


def run(target: Target, cases: Sequence[Case], options: Options | None = None, progress: Progress = lambda result: None) -> Run:
    """Play all cases; results are in the order of `cases`."""
    return asyncio.run(Runner(target, options or Options(), progress).run(cases))


class Runner:
    def __init__(self, target: Target, options: Options, progress: Progress) -> None:
        self._target: Final = target
        self._options: Final = options
        self._progress: Final = progress
        self._places: Final = asyncio.Semaphore(options.parallel or target.limits.parallel)
        self._stage: Final = Stage(target)
        self._offered: dict[str, str] = {}
        self._sanity: list[Result] = []

    async def run(self, cases: Sequence[Case]) -> Run:
        begun, date = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        order = list(cases)
        if self._options.seed:
            random.Random(self._options.seed).shuffle(order)
        groups: dict[tuple[str, str], list[Case]] = {}
        for case in order:
            groups.setdefault(case.group, []).append(case)
        async with self._stage:
            self._offered = await self._extensions()
            together = await asyncio.gather(*(self._group(role, [case for case in group if not case.alone]) for (_, role), group in groups.items()))
            alone = [await self._group(role, [case for case in group if case.alone]) for (_, role), group in groups.items()]
        found = {result.id: result for results in (*together, *alone) for result in results}
        results = tuple(found[case.id] for case in cases)
        spent = time.monotonic() - begun
        return Run(self._target.name, self._target.version, date, spent, self._options.seed, self._offered, results, tuple(self._sanity))

    async def _extensions(self) -> dict[str, str]:
        result = await self._play(extensions)
        told = [entry.text.removeprefix(EXTENSION).partition(" ") for entry in result.transcript if entry.text.startswith(EXTENSION)]
        return {keyword: parameters for keyword, _, parameters in told}

    async def _group(self, role: str, cases: list[Case]) -> list[Result]:
        """All cases of a group, between two sanity conversations, if there is a case that can run at all."""
        if not cases:
            return []
        if all(self._why_not(case) for case in cases):
            return [await self._case(case) for case in cases]
        first = await self._check(role)
        if first is not None:
            return [result_of(case, first) for case in cases]
        if cases[0].alone:
            results = [await self._case(case) for case in cases]
        else:
            results = list(await asyncio.gather(*(self._case(case) for case in cases)))
        last = await self._check(role)
        return results if last is None else [_doubted(result, last) for result in results]

    async def _case(self, case: Case) -> Result:
        result = await self._place(case)
        self._progress(result)
        return result

    async def _check(self, role: str) -> Verdict | None:
        """None when the known-good conversation works; once more if it was put off, as by greylisting, after the time that the target file states."""
        for last in (False, True):
            result = await self._place(sanity_of(role))
            self._sanity.append(result)
            if result.outcome in (PASS, SKIP):
                return None
            wait_s = float(self._target.policy.get("greylist_s", 0))
            if last or result.outcome != INCONCLUSIVE or not wait_s:
                break
            await asyncio.sleep(wait_s)
        kept = result.outcome in (INCONCLUSIVE, DEPENDENCY, HARNESS)
        return Verdict(result.outcome if kept else SETUP, f"the known-good conversation does not work: {result.reason}")

    def _why_not(self, case: Case) -> str:
        if case.slow and not self._options.slow:
            return "slow: it needs --slow, or virtual time"
        return first_lacking(case.needs, self._target, self._offered)

    async def _place(self, case: Case) -> Result:
        async with self._places:
            reason = self._why_not(case)
            return result_of(case, Verdict(SKIP, reason)) if reason else await self._play(case)

    async def _play(self, case: Case) -> Result:
        at = context_of(case, self._target, self._offered, "k" + secrets.token_hex(5))
        wire = SocketWire(self._stage, at.domain)
        play = Play(case, at, time.monotonic)
        try:
            async with asyncio.timeout(SLOW_SECONDS_MAX if case.slow else CASE_SECONDS_MAX):
                action = play.begin()
                while action is not None:
                    action = play.answer(await wire.perform(action))
        except Exception as error:  # shown as a harness error, unless it says what it is
            play.fail(error)
        finally:
            await wire.close()
        assert play.verdict is not None
        return result_of(case, play.verdict, play.seconds, tuple(play.entries))


def context_of(case: Case, target: Target, offered: dict[str, str], token: str) -> Context:
    """Names of its own for one play of a case."""
    below = target.mail.relay_domain if "relay-domain" in case.needs else target.dns.suffix
    label = re.sub(r"[^a-z0-9]+", "-", case.slug.lower()).strip("-")[:LABEL_MAX].strip("-")
    return Context(target, token, f"{label}-{token}.{below}", dict(offered))


def result_of(case: Case, verdict: Verdict, seconds: float = 0.0, entries: tuple[Entry, ...] = ()) -> Result:
    return Result(
        case.id,
        case.section,
        case.level,
        case.roles,
        case.sentence,
        case.tests,
        case.rfc_link,
        case.version,
        verdict.outcome,
        printable(verdict.reason),
        round(seconds, 3),
        entries,
    )


def _doubted(result: Result, verdict: Verdict) -> Result:
    """After the group the target did not work any more: what a case found is told, but it is no verdict."""
    if result.outcome == SKIP:
        return result
    return structs.replace(result, outcome=verdict.outcome, reason=f"{verdict.reason}; the case itself: {result.outcome} {result.reason}".rstrip())


def repeat_line(result: Result, how: str) -> str:
    """The command that repeats one case; `how`: the part that names the target."""
    return f"smx-conformance run {how} --only {result.id} --verbose"
