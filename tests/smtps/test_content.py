"""Content on its way into CDB: what is stored, and that memory stays within its budget whatever clients do (I5, I16)."""

import itertools
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx import effects, limits, messages
from smx.cdb.format import HEADER_OCTETS, agrees, parse_content_header
from smx.smtp.data import Census, DotStuffer
from smx.smtps.content import UNOPENED_OCTETS_MAX, stored_facts
from smx.units import KIB, MIB
from tests.smtps.world import SETTINGS, World
from tests.worlds.clients import mail

EHLO = b"EHLO client.example\r\n"
LINE = b"z" * 70 + b"\r\n"


def greeted(world: World, connection: int = 1) -> World:
    world.connect(connection)
    world.send(EHLO, connection)
    world.said(connection)
    return world


def stuffed(content: bytes) -> bytes:
    stuffer = DotStuffer()
    return stuffer.feed(content) + stuffer.finish()


def stored(world: World, number: int = -1) -> tuple[bytes, bytes]:
    """(our Received field, the rest) of a submitted message; checks header and checksum on the way."""
    envelope = world.told(messages.Submit)[number].envelope
    content = envelope.content
    octets = world.content(content)
    assert zlib.crc32(octets) == content.checksum
    header = parse_content_header(bytes(world.files[content.segment][content.offset - HEADER_OCTETS : content.offset]))
    assert header is not None
    assert agrees(header, envelope.transaction, content)
    end = octets.index(b" +0000\r\n") + 8
    return octets[:end], octets[end:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"Subject: x\r\n\r\nhi\r\n",
        b".\r\n..\r\n.leading\r\n\r\n.\r\n",
        "Subject: täglich\r\n\r\n8-bit: ".encode() + bytes(range(128, 256)) + b"\r\n",
        b"\0\1\2\r\n",
        b"a" * 998 + b"\r\n",
        b"a" * 5_000 + b"\r\n",
        LINE * 20_000,
    ],
    ids=["empty", "empty line", "short", "dots", "8-bit", "NUL", "998", "long line", "1.4 MiB"],
)
@pytest.mark.feature("SX09")
def test_what_is_stored_is_what_was_sent_behind_our_received_field(content: bytes) -> None:
    world = greeted(World())
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + stuffed(content))
    assert world.codes() == "250 250 354 250"
    received, rest = stored(world)
    assert received.startswith(b"Received: from client.example ([192.0.2.1])\r\n")
    assert rest == content


@settings(max_examples=60, deadline=None)
@given(
    content=st.lists(st.sampled_from([b"", b".", b"..", b"a.b", b"Subject: x", b"\xc3\xa4", b"q" * 200]), max_size=40),
    cuts=st.lists(st.integers(0, 5_000), max_size=12),
    memory_max=st.sampled_from([KIB, 256 * KIB]),
)
def test_it_is_the_same_however_the_octets_are_segmented(content: list[bytes], cuts: list[int], memory_max: int) -> None:
    octets = b"".join(line + b"\r\n" for line in content)
    session = b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + stuffed(octets)
    world = greeted(World(msgspec.structs.replace(SETTINGS, content_memory_max_octets=memory_max)))
    places = sorted({0, len(session), *(cut % len(session) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        world.send(session[start:end])
    assert world.codes() == "250 250 354 250"
    assert stored(world)[1] == octets


def test_chunks_without_a_last_line_end_get_one() -> None:
    for body in (b"Subject: x\r\n\r\nno end", LINE * 5_000 + b"no end"):
        world = greeted(World())
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nBDAT %d LAST\r\n" % len(body) + body)
        assert world.codes() == "250 250 250"
        assert stored(world)[1] == body + b"\r\n"


@given(st.binary(max_size=200).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n"))
@settings(max_examples=100, deadline=None)
def test_the_facts_of_what_is_stored_are_those_of_a_census_over_it(content: bytes) -> None:
    trace = b"Received: from x\r\n\tby y;\r\n\tdate\r\n"
    census, whole = Census(), Census()
    census.add(content)
    facts = census.facts()
    whole.add(trace + content)
    expected, found = whole.facts(), stored_facts(facts, trace)
    if content[:1] not in (b" ", b"\t"):  # a first line that continues our field is counted otherwise; nobody asks
        assert found == expected


def test_a_refused_message_leaves_no_trace_on_disk() -> None:
    for body in (b"Subject: x\r\n\r\nbare \n here\r\n", LINE * 5_000 + b"bare \n here\r\n"):
        world = greeted(World())
        before = set(world.files)
        world.send(mail(body=body))
        assert world.codes() == "250 250 354 554"
        assert set(world.files) == before
        assert all(len(octets) <= 32 for octets in world.files.values())  # segment headers at most


def test_a_large_message_that_is_given_up_takes_its_segment_with_it() -> None:
    for end in ("hang up", "QUIT"):
        world = greeted(World())
        before = set(world.files)
        if end == "QUIT":
            world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nBDAT 400000\r\n" + b"z" * 400_000)
            assert set(world.files) - before
            world.send(b"QUIT\r\n")
        else:
            world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + LINE * 5_000)
            assert set(world.files) - before
            world.hang_up()
        assert set(world.files) == before
        assert world.told(messages.Sealed) == []


def test_a_message_that_is_too_large_is_refused_and_leaves_nothing() -> None:
    world = greeted(World(msgspec.structs.replace(SETTINGS, message_size_max_octets=512 * KIB)))
    before = set(world.files)
    world.send(mail(body=LINE * 10_000))
    assert world.codes() == "250 250 354 552"
    assert set(world.files) == before


def test_too_many_hops_and_a_circle_are_refused_with_5_4_6() -> None:
    world = greeted(World())
    world.send(mail(body=b"Received: from x\r\n" * (limits.HOPS_MAX + 1) + b"\r\nhi\r\n"))
    assert world.said().splitlines()[-1].startswith("554 5.4.6")
    world.send(mail(body=b"Delivered-To: B@example.org\r\n\r\nhi\r\n"))
    assert world.said().splitlines()[-1].startswith("554 5.4.6")
    world.send(mail(b"b@example.org", b"c@example.org", body=b"Delivered-To: b@example.org\r\n\r\nhi\r\n"))
    assert world.codes() == "250 250 250 354 250"  # LDA refuses it for b only


@pytest.mark.feature("SX25")
def test_a_large_message_for_which_the_disk_has_no_room_is_452_at_its_end_and_removed() -> None:
    world = greeted(World())
    before = set(world.files)
    appended = 0

    def full(effect: effects.Append) -> bool:
        nonlocal appended
        appended += len(effect.data)
        return appended > MIB

    world.no_space = full
    for part in (b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", *[LINE * 1_000] * 40, b".\r\n"):
        world.send(part)
    assert world.codes() == "250 250 354 452"
    assert set(world.files) == before
    assert appended < 2 * MIB  # nothing was written after it had failed


def test_memory_stays_within_its_budget_and_every_message_gets_through() -> None:
    """Sixty clients send 200 KiB each at the same time through a budget of 1 MiB."""
    budget = MIB
    world = World(msgspec.structs.replace(SETTINGS, content_memory_budget_octets=budget))
    clients = range(1, 61)
    parts = [LINE * 200] * 14
    for client in clients:
        greeted(world, client)
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", client)
    worst = 0
    for part in parts:
        for client in clients:
            world.send(part, client)
            worst = max(worst, world.smtps._service.intake.used)
    for client in clients:
        world.send(b".\r\n", client)
    assert {world.codes(client) for client in clients} == {"250 250 354 250"}
    assert worst <= budget + len(parts[0])
    assert world.smtps._service.intake.used == 0


def test_sources_of_large_messages_are_held_while_segments_are_being_opened() -> None:
    world = World(auto="sync qmgr smar")
    world.release("disk")
    clients = range(1, 41)
    for client in clients:
        greeted(world, client)
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", client)
    part = LINE * 3_000  # 216 KiB
    sent = 0
    for _ in range(5):
        for client in clients:
            if world.reading[client]:
                world.send(part, client)
                sent += len(part)
    assert world.smtps._service.intake.used <= UNOPENED_OCTETS_MAX + len(clients) * (SETTINGS.content_memory_max_octets + 2 * len(part))
    assert not all(world.reading.values())
    world.release("disk")
    world.auto.add("disk")
    assert all(world.reading.values())
    for client in clients:
        world.send(b".\r\n", client)
    assert {world.codes(client) for client in clients} == {"250 250 354 250"}
    assert sum(len(stored(world, number)[1]) for number in range(len(clients))) == sent
    assert world.smtps._service.intake.used == 0


def test_a_held_client_that_leaves_makes_room_for_the_others() -> None:
    world = World(auto="sync qmgr smar")
    world.release("disk")
    for client in range(1, 41):
        greeted(world, client)
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + LINE * 3_000, client)
        world.send(LINE * 3_000, client)
    held = [client for client in range(1, 41) if not world.reading[client]]
    assert held
    for client in range(1, 41):
        world.hang_up(client)
    assert world.smtps._service.intake.used == 0
    assert not world.smtps._service.intake.waiting
    world.release("disk")
    assert not [octets for octets in world.files.values() if len(octets) > 32]
