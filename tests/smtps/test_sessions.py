"""Sessions of SMTPS as transcripts: who is let in, what is said in which order, and how a session ends."""

import msgspec
import pytest

from smx import effects, events, messages
from smx.config.schema_smtps import ClientLimits, TlsSettings
from smx.ids import epoch_of_transaction
from smx.smtps.sessions import UNREAD_OCTETS_MAX
from smx.units import MINUTE, SECOND
from tests.smtps.world import EPOCH, QUEUE_EPOCH, SETTINGS, World
from tests.worlds.clients import mail

EHLO = b"EHLO client.example\r\n"


def greeted(world: World, connection: int = 1, host: str = "192.0.2.1") -> int:
    world.connect(connection, host)
    world.send(EHLO, connection)
    world.said(connection)
    return connection


def test_clients_are_let_in_only_when_qmgr_has_granted_ids_and_smar_is_linked() -> None:
    world = World(start=False)
    world.feed(events.Started(EPOCH, 7, 0))
    world.feed(events.Listening("smtps.mx:0", "127.0.0.1", 25))
    world.feed(events.Linked("qmgr", QUEUE_EPOCH))
    world.tell(messages.Granted(QUEUE_EPOCH, 1))
    assert not world.accepting
    assert world.notes("ready") == []
    world.feed(events.Linked("smar", 90))
    assert world.accepting == {"smtps.mx:0": True}
    assert world.notes("ready") == [(EPOCH,)]


def test_a_session_from_greeting_to_quit() -> None:
    world = World()
    world.connect()
    assert world.said() == "220 mx.example.org ESMTP smx\r\n"
    world.send(EHLO + mail() + b"QUIT\r\n")
    assert world.codes() == "250 250 250 354 250 221"
    assert world.closed == {1}
    assert [values[1] for values in world.notes("ended")] == ["closed"]


def test_the_reply_to_the_final_dot_says_the_id_and_received_has_it_too() -> None:
    world = World()
    greeted(world)
    world.send(mail())
    reply = world.said().splitlines()[-1]
    assert reply.startswith("250 2.0.0 ")
    assert reply.endswith(" queued")
    envelope = world.told(messages.Submit)[0].envelope
    assert f"id {reply.split()[2]}".encode() in world.content(envelope.content)


@pytest.mark.feature("SX29")
def test_session_and_transaction_ids_are_separate_and_none_is_used_twice() -> None:
    world = World()
    for connection in range(1, 6):
        greeted(world, connection)
        for _ in range(4):
            world.send(mail() + b"MAIL FROM:<x@example.net>\r\nRSET\r\n", connection)
    sessions = [values[0] for values in world.notes("session")]
    transactions = [submit.envelope.transaction for submit in world.told(messages.Submit)]
    assert len(set(sessions)) == 5
    assert len(set(transactions)) == 20
    assert {epoch_of_transaction(number) for number in transactions} == {QUEUE_EPOCH}
    assert {submit.envelope.session for submit in world.told(messages.Submit)} == set(sessions)


@pytest.mark.feature("SX32")
def test_two_thousand_sessions_at_once_each_get_their_own_replies() -> None:
    world = World(msgspec.structs.replace(SETTINGS, sessions_max=2_000, client=ClientLimits(connections_max=0)))
    lines = [EHLO, b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n", b"Subject: x\r\n\r\nhi\r\n.\r\n", b"QUIT\r\n"]
    for connection in range(1, 2_001):
        world.connect(connection)
    for line in lines:
        for connection in range(1, 2_001):
            world.send(line, connection)
    assert {world.codes(connection) for connection in range(1, 2_001)} == {"220 250 250 250 354 250 221"}
    assert len({submit.envelope.transaction for submit in world.told(messages.Submit)}) == 2_000
    assert len(world.closed) == 2_000


def test_replies_keep_the_order_of_pipelined_commands_while_smar_is_slow() -> None:
    world = World(auto="disk sync qmgr")
    greeted(world)
    world.refuse[b"c@example.org"] = (550, b"5.1.1", b"No such user")
    world.send(mail(b"b@example.org", b"c@example.org", b"d@example.org") + b"NOOP\r\n")
    assert world.codes() == "250"  # MAIL; the rest waits for the first RCPT
    for expected in ("250", "550", "250 354 250 250"):
        world.release("smar", 1)
        assert world.codes() == expected
    assert [r.address for r in world.told(messages.Submit)[0].envelope.recipients] == [b"b@example.org", b"d@example.org"]


def test_one_question_a_recipient_goes_to_smar_and_none_for_other_commands() -> None:
    world = World()
    greeted(world)
    world.send(mail(b"b@example.org", b"c@example.org") + b"NOOP\r\nRSET\r\n" + mail(b"d@example.org"))
    asked = world.told(messages.CheckRecipient, "smar")
    assert [(question.request, question.recipient) for question in asked] == [(1, b"b@example.org"), (2, b"c@example.org"), (3, b"d@example.org")]


def test_what_smar_said_of_a_whole_domain_is_not_asked_again_until_it_is_over() -> None:
    world = World()
    world.lasting[b"example.org"] = MINUTE
    greeted(world)
    world.send(mail(b"b@example.org", b"c@example.org", b"d@example.net", b"e@example.net") + b"RSET\r\n")
    asked = [question.recipient for question in world.told(messages.CheckRecipient, "smar")]
    assert asked == [b"b@example.org", b"d@example.net", b"e@example.net"]
    assert world.codes().split().count("250") == 7  # MAIL, four RCPT, the content, RSET
    world.advance(MINUTE)
    world.send(mail(b"f@example.org"))
    assert [question.recipient for question in world.told(messages.CheckRecipient, "smar")][3:] == [b"f@example.org"]


def test_what_smar_said_counts_for_clients_with_the_same_right_and_until_its_link_is_lost() -> None:
    world = World()
    world.lasting[b"example.org"] = MINUTE
    for connection, host in ((1, "127.0.0.1"), (2, "192.0.2.1"), (3, "127.0.0.1")):
        greeted(world, connection, host)
        world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n", connection)
    assert [question.may_relay for question in world.told(messages.CheckRecipient, "smar")] == [True, False]
    world.feed(events.Unlinked("smar", 90))
    world.feed(events.Linked("smar", 91))
    world.send(b"RCPT TO:<c@example.org>\r\n", 3)
    assert len(world.told(messages.CheckRecipient, "smar")) == 3


@pytest.mark.parametrize(
    ("host", "may_relay"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::ffff:127.0.0.1", True), ("192.0.2.1", False), ("::1", False), ("2001:db8::1", False), ("", True)],
)
def test_only_clients_in_relay_from_may_relay(host: str, may_relay: bool) -> None:
    world = World()
    greeted(world, host=host)
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@elsewhere.example>\r\n")
    assert [question.may_relay for question in world.told(messages.CheckRecipient, "smar")] == [may_relay]


def test_a_recipient_without_domain_is_the_postmaster_of_this_host() -> None:
    world = World()
    greeted(world)
    world.send(b"MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n\r\nhi\r\n.\r\n")
    assert world.codes() == "250 250 354 250"
    assert world.told(messages.Submit)[0].envelope.recipients[0].address.lower() == b"postmaster@mx.example.org"
    assert world.told(messages.Submit)[0].envelope.reverse_path == b""


def test_smar_gone_or_silent_is_451_and_the_session_goes_on() -> None:
    world = World(auto="disk sync qmgr")
    greeted(world)
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
    world.advance(31 * SECOND)
    assert world.codes() == "250 451"
    world.send(b"RCPT TO:<c@example.org>\r\n")
    world.feed(events.Unlinked("smar", 90))
    world.send(b"RCPT TO:<d@example.org>\r\n")
    assert world.codes() == "451 451"
    world.release("smar")  # answers that come too late
    assert world.codes() == ""
    world.auto.add("smar")
    world.feed(events.Linked("smar", 91))
    world.send(b"RCPT TO:<b@example.org>\r\nDATA\r\n\r\nhi\r\n.\r\n")
    assert world.codes() == "250 354 250"


def test_without_qmgr_new_sessions_get_421() -> None:
    world = World()
    world.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
    world.connect()
    assert world.said().startswith("421 ")
    assert world.closed == {1}


@pytest.mark.feature("SX22")
def test_more_sessions_than_allowed_get_421_and_leave_no_trace() -> None:
    world = World(msgspec.structs.replace(SETTINGS, sessions_max=3, client=ClientLimits(connections_max=2)))
    assert [world.connect(connection) and world.codes(connection) for connection in (1, 2, 3)] == ["220", "220", "421"]
    assert world.connect(4, "192.0.2.2") and world.codes(4) == "220"
    assert world.connect(5, "192.0.2.3") and world.codes(5) == "421"  # sessions_max
    world.hang_up(1)
    assert world.connect(6) and world.codes(6) == "220"
    for connection in (2, 4, 6):
        world.hang_up(connection)
    assert world.timers == {}


@pytest.mark.feature("SX22")
def test_connections_that_come_too_fast_get_421_until_the_interval_is_over() -> None:
    world = World(msgspec.structs.replace(SETTINGS, client=ClientLimits(rate_max=2, rate_interval_us=MINUTE)))
    assert [world.connect(connection) and world.codes(connection) for connection in (1, 2, 3)] == ["220", "220", "421"]
    assert world.connect(4, "192.0.2.2") and world.codes(4) == "220"
    world.advance(MINUTE + 1)
    assert world.connect(5) and world.codes(5) == "220"


def test_a_silent_client_gets_421_and_one_that_waits_for_us_does_not() -> None:
    world = World(auto="disk qmgr smar")
    greeted(world, 1)
    greeted(world, 2)
    world.send(mail(), 2)
    assert world.codes(2) == "250 250 354"
    world.advance(3 * MINUTE)
    world.send(b"NOOP\r\n", 1)
    world.advance(3 * MINUTE)
    assert world.codes(1) == "250"  # the command moved its deadline
    world.advance(3 * MINUTE)
    assert world.said(1).startswith("421 4.4.2")
    assert world.closed == {1}
    world.release("sync")
    assert world.codes(2) == "250"


def test_a_session_has_one_timer_however_many_commands_it_sends() -> None:
    world = World()
    greeted(world)
    for _ in range(20):
        world.send(b"NOOP\r\n")
        world.advance(SECOND)
    assert len(world.positions(lambda effect: isinstance(effect, effects.Arm) and effect.timer == "session")) == 1


def test_a_client_that_does_not_read_is_not_served_on_until_it_does() -> None:
    world = World(msgspec.structs.replace(SETTINGS, recipients_max=20_000))
    greeted(world)
    flood = b"MAIL FROM:<a@example.net>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 4_000
    for start in range(0, len(flood), 4_096):
        if world.reading[1]:
            world.send(flood[start : start + 4_096])
    transmitted = sum(len(effect.data) for effect in world.log if isinstance(effect, effects.Transmit))
    assert UNREAD_OCTETS_MAX <= transmitted < UNREAD_OCTETS_MAX + 8_192
    assert not world.reading[1]
    world.sent[1].clear()
    world.feed(events.Drained(1))
    assert world.reading[1]


def test_a_client_that_never_reads_is_cut_off() -> None:
    world = World(msgspec.structs.replace(SETTINGS, recipients_max=20_000))
    greeted(world)
    world.send(b"MAIL FROM:<a@example.net>\r\n")
    for _ in range(30):
        world.send(b"RCPT TO:<b@example.org>\r\n" * 100)
    assert not world.reading[1]
    world.advance(6 * MINUTE)
    assert effects.Close(1, abort=True) in world.log


def test_starttls_forgets_the_session_and_the_received_field_names_the_protocol() -> None:
    world = World(msgspec.structs.replace(SETTINGS, tls=TlsSettings("/c.pem")))
    world.connect()
    world.send(EHLO)
    assert "250-STARTTLS\r\n" in world.said()
    world.send(b"STARTTLS\r\n")
    assert world.codes() == "220"
    assert effects.StartTls(1, server_side=True, context="server:mx") in world.log
    world.send(mail())  # sent in the clear by somebody else: never looked at (F34)
    world.feed(events.TlsStarted(1, "", "TLSv1.3", "TLS_AES_256_GCM_SHA384"))
    assert world.codes() == ""
    world.send(b"MAIL FROM:<a@example.net>\r\n")
    assert world.codes() == "503"
    world.send(EHLO + mail())
    assert "STARTTLS" not in world.said()
    stored = world.content(world.told(messages.Submit)[0].envelope.content)
    assert b"(using TLSv1.3 TLS_AES_256_GCM_SHA384)" in stored
    assert b"with ESMTPS id" in stored
    assert world.told(messages.Submit)[0].envelope.protocol == "ESMTPS"


def test_a_failed_handshake_ends_the_session() -> None:
    world = World(msgspec.structs.replace(SETTINGS, tls=TlsSettings("/c.pem")))
    greeted(world)
    world.send(b"STARTTLS\r\n")
    world.feed(events.TlsStarted(1, "no shared cipher"))
    assert [values[1] for values in world.notes("ended")] == ["TLS: no shared cipher"]
    assert world.timers.get(("session", 1)) is None


def test_too_many_messages_in_one_session_end_it() -> None:
    world = World(msgspec.structs.replace(SETTINGS, transactions_max=2))
    greeted(world)
    world.send(mail() + mail() + mail())
    assert world.codes() == "250 250 354 250 250 250 354 250 421"
    assert world.closed == {1}


def test_lmtp_says_one_reply_for_each_recipient() -> None:
    world = World(msgspec.structs.replace(SETTINGS, protocol="lmtp"))
    world.connect()
    world.send(b"LHLO client.example\r\n" + mail(b"b@example.org", b"c@example.org"))
    assert world.said().splitlines()[0] == "220 mx.example.org LMTP smx"
    world.send(mail(b"b@example.org", b"c@example.org", b"d@example.org"))
    assert world.codes() == "250 250 250 250 354 250 250 250"
    assert world.told(messages.Submit)[1].envelope.protocol == "LMTP"


def test_every_refusal_is_noted() -> None:
    world = World()
    greeted(world)
    world.refuse[b"c@example.org"] = (550, b"5.7.1", b"Relaying denied")
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<c@example.org>\r\nBOGUS\r\n")
    assert [(values[2], values[3]) for values in world.notes("refused")] == [(b"RCPT", 550), (b"BOGUS", 500)]
    assert 0 not in [values[1] for values in world.notes("refused")]


def test_a_stop_lets_a_transaction_end_and_says_421_to_the_others() -> None:
    world = World()
    for connection in (1, 2, 3):
        greeted(world, connection)
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n", 2)
    world.send(b"MAIL FROM:<a@example.net>\r\n", 3)
    assert world.codes(2) == "250 250 354"
    world.feed(events.StopRequested(30 * SECOND))
    assert world.accepting == {"smtps.mx:0": False}
    assert world.codes(1) == "421"
    world.send(b"\r\nhi\r\n.\r\n" + mail(), 2)
    assert world.codes(2) == "250 421"  # this message, no other
    world.advance(31 * SECOND)
    assert world.codes(3) == "250 421"
    assert world.halted == "stopped"
    assert any(isinstance(effect, effects.Seal) for effect in world.log)


def test_a_stop_with_nothing_in_hand_halts_at_once() -> None:
    world = World()
    world.feed(events.StopRequested(30 * SECOND))
    assert world.halted == "stopped"


def test_a_stop_waits_for_the_answer_to_a_client_that_has_sent_its_dot() -> None:
    world = World(auto="disk qmgr smar")
    greeted(world)
    world.send(mail())
    world.feed(events.StopRequested(30 * SECOND))
    assert world.codes() == "250 250 354"
    world.release("sync")
    assert world.codes() == "250 421"
    assert world.halted == "stopped"


def test_new_settings_count_for_new_sessions() -> None:
    world = World()
    greeted(world, 1)
    world.feed(events.Reconfigured(msgspec.msgpack.encode(msgspec.structs.replace(SETTINGS, greeting="new", relay_from=("192.0.2.0/24",)))))
    world.connect(2)
    assert world.said(2) == "220 mx.example.org ESMTP new\r\n"
    for connection in (1, 2):
        world.send(EHLO + b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@x.example>\r\n", connection)
    assert [question.may_relay for question in world.told(messages.CheckRecipient, "smar")] == [False, True]
