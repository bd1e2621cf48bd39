"""The way from the final dot to the reply: order of effects (A1, I2), lost answers (A9), cut-through (A12), full disk (A10)."""

import itertools
from collections.abc import Callable

import pytest

from smx import effects, events, messages
from smx.effects import AnyEffect
from smx.messages import Aborted, Secure, Submitted
from smx.smtps.submission import PATIENCE_US
from smx.smtps.transaction import TABLE, Act, Fact, Stage
from tests.smtps.world import QUEUE_EPOCH, World
from tests.worlds.clients import mail

EHLO = b"EHLO client.example\r\n"
CUT = messages.Admission(messages.AdmissionState.OPEN, cut_through_recipients_max=2)


def greeted(world: World, connection: int = 1) -> World:
    world.connect(connection)
    world.send(EHLO, connection)
    world.said(connection)
    return world


def sent(auto: str, message: bytes = b"", *, cut_through: bool = False) -> World:
    """A world in which a client has just sent its final dot."""
    world = World(auto=auto)
    if cut_through:
        world.tell(CUT)
    greeted(world)
    world.send(message or mail())
    assert world.codes() == "250 250 354"
    return world


def is_told(kind: type) -> Callable[[AnyEffect], bool]:
    return lambda effect: isinstance(effect, effects.Tell) and isinstance(effect.message, kind)


def is_transmitted(octets: bytes) -> Callable[[AnyEffect], bool]:
    return lambda effect: isinstance(effect, effects.Transmit) and octets in effect.data


# --- the table


def test_the_table_says_what_happens_in_every_stage() -> None:
    assert set(TABLE) == set(Stage) - {Stage.OPEN, Stage.DONE}
    for row in TABLE.values():
        assert list(row) == list(Fact)


def test_no_4yz_before_qmgr_has_confirmed_that_it_forgets() -> None:
    """A9: what was submitted is refused only by QMGR's own word."""
    for stage, fact in itertools.product((Stage.SUBMITTED, Stage.OFFERED, Stage.SECURING, Stage.ABORTING), Fact):
        if TABLE[stage][fact][1] is Act.REFUSE:
            assert fact in (Fact.REFUSED, Fact.FORGOTTEN)


def test_250_needs_an_envelope_that_is_durable_or_delivered() -> None:
    for stage, fact in itertools.product(TABLE, Fact):
        if TABLE[stage][fact][1] is Act.ACCEPT:
            assert fact in (Fact.TAKEN, Fact.DELIVERED, Fact.KEPT)


def test_a_lost_link_ends_every_stage_with_421() -> None:
    assert {TABLE[stage][Fact.UNLINKED] for stage in TABLE} == {(Stage.DONE, Act.CLOSE)}


# --- the usual way


@pytest.mark.feature("SX09")
def test_content_is_appended_and_synced_before_submit_and_the_250_comes_last() -> None:
    world = sent("disk qmgr smar")
    (appended,) = world.positions(lambda effect: isinstance(effect, effects.Append) and b"hello" in effect.data)
    (synced,) = world.positions(lambda effect: isinstance(effect, effects.Sync))
    assert appended < synced
    assert world.told(messages.Submit) == []
    world.release("sync")
    assert world.codes() == "250"
    (submitted,) = world.positions(is_told(messages.Submit))
    (said,) = world.positions(is_transmitted(b"queued"))
    (noted,) = world.positions(lambda effect: isinstance(effect, effects.Note) and effect.name == "accepted")
    assert synced < submitted < said < noted


def test_without_the_sync_there_is_no_submit_and_without_submitted_no_250() -> None:
    world = sent("disk smar")
    assert world.codes() == ""
    world.release("sync")
    assert len(world.told(messages.Submit)) == 1
    assert world.codes() == ""
    world.release("qmgr")
    assert world.codes() == "250"


def test_a_segment_whose_name_is_not_durable_yet_makes_the_client_wait() -> None:
    world = World(auto="sync qmgr smar")
    greeted(world)
    world.send(mail())
    assert world.codes() == "250 250 354"
    for _ in range(2):  # both segments are opened
        world.release("disk", 1)
        assert world.told(messages.Submit) == []
    world.release("disk")
    assert world.codes() == "250"


@pytest.mark.feature("SX14")
def test_many_messages_share_a_sync() -> None:
    world = World(auto="disk qmgr smar")
    for connection in range(1, 51):
        greeted(world, connection)
        world.send(mail(), connection)
    while world.waiting["sync"]:
        world.release("sync", 1)
    assert [world.codes(connection) for connection in range(1, 51)] == ["250 250 354 250"] * 50
    assert len(world.positions(lambda effect: isinstance(effect, effects.Sync))) == 2


def test_the_envelope_carries_everything_that_the_client_said() -> None:
    world = greeted(World())
    world.send(
        b"MAIL FROM:<a@example.net> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=QQ314159\r\n"
        b"RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B+40example.org\r\n"
        b"RCPT TO:<c@example.org>\r\nDATA\r\nReceived: from x\r\nSubject: y\r\n\r\nhi\r\n.\r\n"
    )
    envelope = world.told(messages.Submit)[0].envelope
    assert envelope.reverse_path == b"a@example.net"
    assert (envelope.ret, envelope.body, envelope.envid, envelope.hops, envelope.server) == (messages.Ret.HDRS, messages.Body.EIGHT_BIT, b"QQ314159", 2, "mx")
    first, second = envelope.recipients
    assert (first.index, first.address, first.notify, first.orcpt) == (0, b"b@example.org", 10, b"rfc822;B+40example.org")
    assert (second.index, second.address, second.notify, second.orcpt) == (1, b"c@example.org", 0, b"")
    assert envelope.client == "client.example [192.0.2.1]"


@pytest.mark.parametrize(("code", "enhanced", "text"), [(452, b"4.3.1", b"Queue full"), (550, b"5.7.1", b"Not here")])
def test_what_qmgr_refuses_is_refused_in_its_words(code: int, enhanced: bytes, text: bytes) -> None:
    world = sent("disk sync smar")
    transaction = world.told(messages.Submit)[0].envelope.transaction
    world.tell(Submitted(transaction, code, enhanced, text))
    assert world.said() == f"{code} {enhanced.decode()} {text.decode()}\r\n"
    world.send(b"NOOP\r\n")
    assert world.codes() == "250"


# --- A9


STATES = {
    "syncing": ("disk qmgr smar", False),
    "submitted": ("disk sync smar", False),
    "offered": ("disk sync smar", True),
    "securing": ("disk smar", True),
    "aborting": ("disk sync smar", False),
}


def in_stage(stage: str) -> tuple[World, int]:
    auto, cut_through = STATES[stage]
    world = sent(auto, cut_through=cut_through)
    transaction = 0
    if stage != "syncing":
        transaction = world.told(messages.Submit)[0].envelope.transaction
    if stage == "securing":
        world.tell(Secure(transaction))
    if stage == "aborting":
        world.advance(PATIENCE_US)
        assert world.told(messages.Abort) == [messages.Abort(transaction)]
    return world, transaction


@pytest.mark.parametrize("stage", STATES)
def test_when_qmgr_is_gone_a_message_in_hand_gets_421_and_the_session_ends(stage: str) -> None:
    world, _ = in_stage(stage)
    world.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
    assert world.codes() == "421"
    assert world.closed == {1}
    world.release("sync")
    world.release("qmgr")
    assert world.notes("accepted") == []


def test_what_is_still_coming_in_while_qmgr_is_gone_is_421_at_its_dot_or_goes_on_when_it_is_back() -> None:
    for back, expected in ((False, "421"), (True, "250")):
        world = greeted(World())
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n")
        world.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
        if back:
            world.link()
        world.said()
        world.send(b"\r\nhi\r\n.\r\n")
        assert world.codes() == expected
        assert len(world.told(messages.Submit)) == back


def test_on_a_new_link_the_open_segments_are_said_first() -> None:
    world = World()
    segments = world.told(messages.Writing)[0].segments
    world.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
    world.log.clear()
    world.feed(events.Linked("qmgr", QUEUE_EPOCH))
    assert world.told(messages.Writing) == [messages.Writing(segments)]


def test_a_qmgr_of_another_epoch_ends_the_process() -> None:
    world = greeted(World())
    world.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
    world.feed(events.Linked("qmgr", QUEUE_EPOCH + 1))
    assert world.codes() == "421"
    assert world.halted == "QMGR was started anew"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Aborted(0), "451"),
        (Aborted(0, kept=True), "250"),
        (Submitted(0), "250"),  # it crossed our Abort
        (Submitted(0, 452, b"4.3.1", b"full"), "452"),
    ],
)
def test_when_qmgr_is_silent_the_message_is_aborted_and_its_word_decides(answer: Aborted | Submitted, expected: str) -> None:
    world, transaction = in_stage("aborting")
    assert world.codes() == ""  # nothing before QMGR has confirmed
    world.tell(Submitted(transaction, answer.code, answer.enhanced, answer.text) if isinstance(answer, Submitted) else Aborted(transaction, answer.kept))
    assert world.codes() == expected
    world.tell(Aborted(transaction, kept=True))  # what crosses later is nobody's any more
    assert world.codes() == ""


def test_patience_is_one_timer_for_all_messages_in_hand() -> None:
    world = World(auto="disk sync smar")
    for connection in range(1, 11):
        greeted(world, connection)
        world.send(mail(), connection)
    assert len(world.positions(lambda effect: isinstance(effect, effects.Arm) and effect.timer == "submit")) == 1
    world.advance(PATIENCE_US)
    assert len(world.told(messages.Abort)) == 10


@pytest.mark.parametrize("stage", ["syncing", "submitted"])
def test_a_client_that_vanishes_after_its_dot_does_not_abort(stage: str) -> None:
    world, _ = in_stage(stage)
    world.hang_up()
    assert len(world.notes("vanished")) == 1
    world.release("sync")
    world.release("qmgr")
    assert len(world.told(messages.Submit)) == 1
    assert world.told(messages.Abort) == []
    assert world.notes("accepted") == []


def test_a_client_that_vanishes_before_its_dot_leaves_nothing() -> None:
    world = greeted(World())
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n")
    world.hang_up()
    assert world.told(messages.Submit) == []
    assert world.notes("vanished") == []
    assert not [effect for effect in world.log if isinstance(effect, effects.Append) and effect.offset]


# --- A12


@pytest.mark.feature("SX24")
def test_cut_through_offers_content_that_is_written_and_not_synced_and_250_follows_delivery() -> None:
    world, transaction = in_stage("offered")
    assert world.told(messages.Submit)[0].secured is False
    assert not world.positions(lambda effect: isinstance(effect, effects.Sync))
    world.tell(Submitted(transaction, delivered=True))
    assert world.said().endswith(" delivered\r\n")
    assert not world.positions(lambda effect: isinstance(effect, effects.Sync))


@pytest.mark.parametrize(
    ("message", "admission", "offered"),
    [
        (mail(), CUT, True),
        (mail(b"b@example.org", b"c@example.org"), CUT, True),
        (mail(b"b@example.org", b"c@example.org", b"d@example.org"), CUT, False),
        (mail(), messages.Admission(messages.AdmissionState.OPEN), False),
        (mail(body=b"x" * 70 + b"\r\n" + b"y" * 300_000 + b"\r\n"), CUT, False),
        (mail().replace(b"TO:<b@example.org>", b"TO:<b@example.org> NOTIFY=SUCCESS"), CUT, False),
        (mail().replace(b"TO:<b@example.org>", b"TO:<b@example.org> NOTIFY=FAILURE"), CUT, True),
    ],
)
def test_cut_through_is_offered_for_small_messages_to_few_that_ask_for_no_success(message: bytes, admission: messages.Admission, offered: bool) -> None:
    world = greeted(World(auto="disk sync smar"))
    world.tell(admission)
    world.send(message)
    assert world.told(messages.Submit)[0].secured is not offered


def test_cut_through_is_not_offered_while_the_segment_is_being_opened() -> None:
    world = World(auto="sync qmgr smar")
    world.tell(CUT)
    greeted(world)
    world.send(mail())
    assert world.told(messages.Submit) == []
    world.release("disk")
    assert world.told(messages.Submit)[0].secured is True


def test_when_qmgr_wants_it_secured_the_content_is_synced_then_secured_is_said_then_250() -> None:
    world, transaction = in_stage("securing")
    assert world.told(messages.Secured) == []
    world.release("sync")
    assert world.told(messages.Secured) == [messages.Secured(transaction)]
    assert world.codes() == ""
    world.tell(Secure(transaction))  # said twice does no harm
    world.release("qmgr")
    assert world.codes() == "250"


def test_a_sync_for_others_secures_an_offer_as_well() -> None:
    world = World(auto="disk smar")
    world.tell(CUT)
    greeted(world, 1)
    greeted(world, 2)
    world.send(mail(), 1)
    world.send(mail(b"b@example.org", b"c@example.org", b"d@example.org"), 2)
    world.release("sync")
    offered = world.told(messages.Submit)[0].envelope.transaction
    world.tell(Secure(offered))
    assert world.told(messages.Secured) == [messages.Secured(offered)]


@pytest.mark.parametrize("stage", ["offered", "securing"])
@pytest.mark.parametrize(
    ("answer", "expected"), [(Submitted(0, delivered=True), "250"), (Submitted(0, 550, b"5.1.1", b"No such user"), "550"), (Submitted(0, 452), "452")]
)
def test_an_offer_ends_with_qmgrs_answer_even_while_it_is_being_secured(stage: str, answer: Submitted, expected: str) -> None:
    world, transaction = in_stage(stage)
    enhanced = b"%d.0.0" % (answer.code // 100)
    world.tell(Submitted(transaction, answer.code, enhanced, answer.text, answer.delivered))
    assert world.codes() == expected
    world.release("sync")
    assert world.told(messages.Secured) == []


@pytest.mark.parametrize("stage", ["offered", "securing"])
def test_250_for_an_unsynced_content_that_is_not_delivered_is_a_bug_that_ends_the_process(stage: str) -> None:
    world, transaction = in_stage(stage)
    with pytest.raises(AssertionError, match="TAKEN"):
        world.tell(Submitted(transaction))


# --- A10, A3


def spoil(world: World, octets: bytes) -> None:
    def full(effect: effects.Append) -> bool:
        return octets in effect.data

    world.no_space = full


@pytest.mark.feature("SX25")
def test_a_full_disk_refuses_the_message_concerned_and_no_other() -> None:
    world = World(auto="disk qmgr smar")
    for connection in (1, 2, 3):
        greeted(world, connection)
    spoil(world, b"second")
    for connection, text in ((1, b"first"), (2, b"second"), (3, b"third")):
        world.send(mail(body=b"Subject: %b\r\n\r\nhello\r\n" % text), connection)
    while world.waiting["sync"]:
        world.release("sync", 1)
    assert [world.codes(connection) for connection in (1, 2, 3)] == ["250 250 354 250", "250 250 354 452", "250 250 354 250"]
    for submit, text in zip(world.told(messages.Submit), (b"first", b"third"), strict=True):
        assert text in world.content(submit.envelope.content)
    world.send(mail(), 2)
    world.release("sync")
    assert world.codes(2) == "250 250 354 250"


@pytest.mark.feature("SX25")
def test_an_offered_message_that_could_not_be_written_is_aborted_first() -> None:
    world = World(auto="disk sync smar")
    world.tell(CUT)
    greeted(world)
    spoil(world, b"hello")
    world.send(mail())
    transaction = world.told(messages.Submit)[0].envelope.transaction
    assert world.told(messages.Abort) == [messages.Abort(transaction)]
    assert world.codes() == "250 250 354"
    world.tell(Aborted(transaction))
    assert world.said().startswith("452 4.3.1")


@pytest.mark.parametrize(
    "event",
    [
        events.SyncFailed("cdb", 1, "Input/output error"),
        events.AppendFailed("cdb", 0, 32, no_space=False, reason="Input/output error"),
    ],
)
def test_a_device_that_fails_ends_the_process(event: events.SyncFailed | events.AppendFailed) -> None:
    world = sent("disk qmgr smar")
    world.feed(event)
    assert "Input/output error" in world.halted
    assert world.codes() == ""


def test_a_segment_is_told_sealed_only_when_every_message_in_it_is_answered() -> None:
    world = World(auto="disk sync smar")
    greeted(world, 1)
    greeted(world, 2)
    world.send(mail(), 1)
    world.send(mail(), 2)
    first, second = (submit.envelope.transaction for submit in world.told(messages.Submit))
    segment = world.told(messages.Submit)[0].envelope.content.segment
    world.tell(Submitted(first))
    world.advance(PATIENCE_US)  # the segment is rolled; the second message is being aborted
    assert world.told(messages.Sealed) == []
    world.tell(Aborted(second))
    assert world.told(messages.Sealed) == [messages.Sealed(segment)]


def test_a_large_message_has_a_segment_of_its_own_which_is_sealed_when_it_is_answered() -> None:
    world = greeted(World())
    world.send(mail(body=b"Subject: large\r\n\r\n" + (b"z" * 70 + b"\r\n") * 5_000))
    content = world.told(messages.Submit)[0].envelope.content
    assert content.octets > 360_000
    assert world.told(messages.Sealed) == [messages.Sealed(content.segment)]
    (said,) = world.positions(is_transmitted(b"queued"))
    assert said  # and its Sealed does not wait for anything else
