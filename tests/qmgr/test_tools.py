"""Queue tools: listing, changing, status, limits (SX65, SX66, BX11)."""

import pytest

from smx import messages
from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.messages import Filter, LimitsChanged, QueueChange, QueueChanged, QueueList, QueueListed, Status, StatusAsked
from smx.qmgr.control import LIMITS, OPTION_OF, configured
from smx.qmgr.tools import VERBS, pattern
from smx.units import HOUR, MINUTE
from tests.qmgr.world import DEFERRED, TOOL, World

SETTINGS = QmgrSettings(min_free_octets=0, retry=RetrySettings(warn_us=0))


def queue() -> World:
    """Five deferred recipients of three transactions, and one in line behind a busy window."""
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    world.submit(b"a@x.example", b"b@x.example")
    world.submit(b"a@y.example", b"c@y.example", sender=b"other@client.example")
    world.submit(b"d@z.example", sender=b"")
    world.replies[b"e@slow.example"] = None
    for _ in range(6):  # five are in flight
        world.submit(b"e@slow.example")
    return world


def listed(world: World, **fields: object) -> list[str]:
    answer = world.ask(QueueList(1, Filter(**fields)), QueueListed)  # type: ignore[arg-type]
    assert not answer.more
    return [row.recipient.decode() for row in answer.rows]


@pytest.mark.feature("SX65")
def test_the_list_shows_memory_and_disk_in_order_with_reasons() -> None:
    world = queue()
    answer = world.ask(QueueList(1, Filter()), QueueListed)
    keys = [(row.transaction, row.index) for row in answer.rows]
    assert len(keys) == 11
    assert keys == sorted(set(keys))
    states = [row.state for row in answer.rows]
    assert (states.count("deferred"), states.count("active")) == (5, 6)
    deferred = answer.rows[0]
    assert (deferred.reason, deferred.attempts, deferred.destination) == (b"Later", 1, "x.example")
    assert deferred.next_try_at > deferred.arrived_at > 0
    assert deferred.octets > 0


@pytest.mark.feature("SX65")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"recipient": "a@*"}, ["a@x.example", "a@y.example"]),
        ({"recipient": "[bc]@?.example"}, ["b@x.example", "c@y.example"]),
        ({"recipient": "A@X.EXAMPLE"}, ["a@x.example"]),
        ({"sender": "other@*"}, ["a@y.example", "c@y.example"]),
        ({"sender": "<>"}, ["d@z.example"]),
        ({"destination": "z.*", "state": "deferred"}, ["d@z.example"]),
        ({"destination": "z.*", "state": "held"}, []),
        ({"older_than": 1}, []),
    ],
)
def test_a_filter_takes_what_matches_every_given_field(fields: dict[str, object], expected: list[str]) -> None:
    assert listed(queue(), **fields) == expected


def test_a_list_in_pages_is_the_same_list() -> None:
    world = queue()
    rows: list[messages.QueueRow] = []
    after = (0, -1)
    while True:
        answer = world.ask(QueueList(1, Filter(), *after, 2), QueueListed)
        assert len(answer.rows) <= 2
        rows.extend(answer.rows)
        if not answer.more:
            break
        after = (answer.rows[-1].transaction, answer.rows[-1].index)
    assert tuple(rows) == world.ask(QueueList(1, Filter()), QueueListed).rows


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_changes_nothing(verb: str) -> None:
    world = queue()
    before = (dict(world.disk.rows), len(world.seen), world.ask(QueueList(1, Filter()), QueueListed))
    world.ask(QueueChange(2, verb, Filter(), dry_run=True, who="root"), QueueChanged)
    assert before == (dict(world.disk.rows), len(world.seen), world.ask(QueueList(1, Filter()), QueueListed))
    assert not world.noted("audit")


def test_retry_brings_the_next_attempt_forward() -> None:
    world = queue()
    world.replies[b"a@x.example"] = (messages.Outcome.DELIVERED, 250, b"2.0.0", b"OK")
    answer = world.ask(QueueChange(2, "retry", Filter(recipient="a@*"), who="root"), QueueChanged)
    assert (answer.total, [row.recipient for row in answer.rows]) == (2, [b"a@x.example", b"a@y.example"])
    world.advance(1)
    assert [address for _, address in world.delivered] == [b"a@x.example"]
    assert len(world.disk.rows) == 4
    assert world.noted("audit") == [("root", "retry", "recipient=a@*", 2)]


def test_held_mail_is_not_tried_until_it_is_released() -> None:
    world = queue()
    answer = world.ask(QueueChange(2, "hold", Filter(), who="root"), QueueChanged)
    assert answer.total == 6  # those in flight are left alone
    assert [row.state for row in world.disk.rows.values()].count(1) == 6
    world.replies.clear()
    while world.deliveries:
        world.finish()
    world.advance(24 * HOUR)
    assert len(world.delivered) == 5
    assert listed(world, state="held").count("e@slow.example") == 1
    answer = world.ask(QueueChange(3, "release", Filter(), who="root"), QueueChanged)
    assert answer.total == 6
    world.advance(1)
    assert len(world.delivered) == 11
    assert not world.disk.rows


def test_removed_mail_is_gone_and_nobody_is_told() -> None:
    world = queue()
    answer = world.ask(QueueChange(2, "remove", Filter(), who="root"), QueueChanged)
    assert answer.total == 6
    assert not world.disk.rows
    assert len(world.noted("removed")) == 6
    assert not world.noted("bounced")
    assert len(world.noted("closed")) == 4
    assert listed(world) == ["e@slow.example"] * 5


def test_bounced_mail_is_returned_to_its_sender() -> None:
    world = queue()
    world.replies[b"sender@client.example"] = world.replies[b"other@client.example"] = (messages.Outcome.RELAYED, 250, b"2.0.0", b"OK")
    world.replies[b"postmaster@localhost"] = (messages.Outcome.RELAYED, 250, b"2.0.0", b"OK")
    answer = world.ask(QueueChange(2, "bounce", Filter(state="deferred"), who="root"), QueueChanged)
    assert answer.total == 5
    world.advance(1)
    assert not world.disk.rows
    assert sorted(address for _, address in world.delivered) == [b"other@client.example", b"postmaster@localhost", b"sender@client.example"]


def test_an_unknown_verb_is_an_error_and_nothing_else() -> None:
    world = queue()
    answer = world.ask(QueueChange(2, "explode", Filter()), QueueChanged)
    assert "unknown verb" in answer.error


def test_a_change_of_a_thousand_rows_pages_through_all_of_them() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    for _ in range(4):
        world.submit(*[b"r%d@x.example" % number for number in range(400)])
    assert len(world.disk.rows) == 1_600
    answer = world.ask(QueueChange(2, "remove", Filter(destination="x.example"), who="root"), QueueChanged)
    assert (answer.total, len(answer.rows)) == (1_600, 500)
    assert not world.disk.rows


@pytest.mark.parametrize(
    ("given", "text", "matches"),
    [
        ("", "anything", True),
        ("*@example.org", "a@example.org", True),
        ("*@example.org", "a@example.org.evil", False),
        ("a.b@x", "aXb@x", False),
        ("[!a]*", "bc", True),
        ("[!a]*", "ac", False),
        ("[]", "[]", True),
        ("a[", "a[", True),
        ("<>", "", True),
        ("<>", "a@x", False),
    ],
)
def test_pattern(given: str, text: str, matches: bool) -> None:
    assert pattern(given)(text) is matches


@pytest.mark.feature("SX66")
def test_status_has_figures_and_busy_destinations() -> None:
    world = queue()
    status = world.ask(StatusAsked(9), Status)
    figures = dict(status.figures)
    assert figures["active"] == 6
    assert figures["deliveries"] == 5
    assert figures["cached"] == 5
    assert figures["limit.smtpc.max_connections"] == 100
    assert ("slow.example", 1, 5, 5) in status.destinations


@pytest.mark.feature("SX66")
def test_a_limit_changes_at_run_time() -> None:
    world = queue()
    assert len(world.deliveries) == 5
    answer = world.ask(LimitsChanged(1, "smtpc.initial_connections", 50), Status)
    assert answer.figures == (("smtpc.initial_connections", 50),)
    for _ in range(20):
        world.submit(b"f@new.example")
    world.replies[b"f@new.example"] = None
    for _ in range(60):
        world.submit(b"f@other.example")
    assert world.noted("limit") == [("smtpc.initial_connections", 50, TOOL)]


@pytest.mark.feature("SX66")
def test_an_unknown_limit_and_a_value_out_of_bounds_change_nothing() -> None:
    world = queue()
    assert world.ask(LimitsChanged(1, "smtpc.colour", 1), Status).figures == (("unknown_limit", 0),)
    assert dict(world.ask(LimitsChanged(1, "retry.min", 1), Status).figures)["out_of_bounds"] == 1
    assert world.qmgr._hub.retry.min_us == 5 * MINUTE


@pytest.mark.feature("SX66")
@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_an_option_can_be_read_and_set(name: str) -> None:
    world = World(SETTINGS).boot()
    get, _ = LIMITS[name]
    assert get(world.qmgr._hub) == configured(SETTINGS, name)
    value = max(OPTION_OF[name].low, 17)
    world.ask(LimitsChanged(1, name, value), Status)
    assert get(world.qmgr._hub) == value
