"""The bounds fit each other and the standards."""

import msgspec
import pytest

from smx import codec, limits
from smx.config.schema import QmgrSettings, SmtpsSettings
from smx.limits import EXPANSION_RECIPIENTS_MAX, ORCPT_OCTETS_MAX, PATH_OCTETS_MAX, RECIPIENTS_CEILING
from smx.messages import AnyMessage, Content, Delivered, Envelope, QueueListed, QueueRow, Recipient, Resolved, Submit, Verdict
from smx.qmgr.records import Expanded, Opened, RecipientState, encode_record
from smx.qmgr.scheduler import RECIPIENTS_FRAME_MAX
from smx.qmgr.tools import ANSWER_ROWS_MAX, REASON_OCTETS_MAX
from smx.units import DAY, KIB, MINUTE

QMGR = QmgrSettings()
SMTPS = SmtpsSettings()


def test_sizes_accept_at_least_what_rfc_5321_asks_for() -> None:
    # RFC 5321 4.5.3.1
    assert limits.LOCAL_PART_OCTETS_MIN >= 64
    assert limits.DOMAIN_OCTETS_MAX >= 255
    assert limits.PATH_OCTETS_MAX >= 256
    assert limits.COMMAND_LINE_OCTETS_MAX >= 1036 + 10  # RFC 3461 5 and RFC 6531 3.1
    assert limits.REPLY_LINE_OCTETS_MAX <= 512
    assert limits.MESSAGE_OCTETS_MIN >= 64 * KIB
    assert limits.RECIPIENTS_MIN >= 100
    assert limits.HOPS_MAX >= 100  # RFC 5321 6.3
    assert limits.ENVID_OCTETS_MAX >= 100  # RFC 3461 5
    assert limits.ORCPT_OCTETS_MAX >= 500


def test_patience_is_at_least_what_rfc_5321_asks_for() -> None:
    # RFC 5321 4.5.3.2
    assert limits.GREETING_TIMEOUT_US >= 5 * MINUTE
    assert limits.MAIL_TIMEOUT_US >= 5 * MINUTE
    assert limits.RCPT_TIMEOUT_US >= 5 * MINUTE
    assert limits.DATA_INITIATION_TIMEOUT_US >= 2 * MINUTE
    assert limits.DATA_BLOCK_TIMEOUT_US >= 3 * MINUTE
    assert limits.DATA_TERMINATION_TIMEOUT_US >= 10 * MINUTE
    assert SMTPS.io_timeout_us >= 5 * MINUTE
    assert QMGR.retry.give_up_us >= 4 * DAY  # RFC 5321 4.5.4.1


def test_smaller_things_fit_into_larger_ones() -> None:
    assert limits.LOCAL_PART_OCTETS_MIN + limits.LABEL_OCTETS_MAX < limits.PATH_OCTETS_MAX
    assert limits.MX_HOSTS_MAX <= limits.MX_RECORDS_MAX
    assert limits.DSN_UNASKED_OCTETS_MAX <= limits.DSN_FULL_OCTETS_MAX <= limits.CONTENT_CHUNK_OCTETS  # what is returned is read at once
    assert limits.LABEL_OCTETS_MAX < limits.DOMAIN_OCTETS_MAX < limits.PATH_OCTETS_MAX < limits.COMMAND_LINE_OCTETS_MIN
    assert limits.COMMAND_LINE_OCTETS_MIN <= limits.COMMAND_LINE_OCTETS_MAX < limits.INPUT_OCTETS_MAX
    assert limits.PATH_OCTETS_MAX + limits.ORCPT_OCTETS_MAX + limits.ENVID_OCTETS_MAX < limits.COMMAND_LINE_OCTETS_MAX
    assert limits.REPLY_LINE_OCTETS_MAX <= limits.REPLY_LINE_RECEIVED_OCTETS_MAX
    assert limits.MESSAGE_OCTETS_MIN <= limits.CONTENT_MEMORY_OCTETS_MAX <= limits.MESSAGE_OCTETS_MAX <= limits.MESSAGE_OCTETS_CEILING
    assert limits.HEADER_OCTETS_MAX <= limits.CONTENT_MEMORY_OCTETS_MAX <= SMTPS.content_memory_budget_octets
    assert limits.RECIPIENTS_MIN <= limits.RECIPIENTS_PER_DELIVERY_MAX <= limits.RECIPIENTS_MAX <= limits.RECIPIENTS_CEILING
    assert limits.ERRORS_MAX <= limits.REFUSALS_MAX
    assert QMGR.smtpc.initial_connections <= QMGR.smtpc.max_connections <= QMGR.smtpc.deliveries_max
    assert QMGR.retry.min_us <= QMGR.retry.max_us <= QMGR.retry.give_up_us
    assert QMGR.aq_max_entries <= QMGR.edbc_max_entries


def test_a_record_and_a_group_fit_into_their_log_and_link() -> None:
    assert limits.RECIPIENTS_MAX <= limits.RECIPIENTS_CEILING
    assert limits.FRAME_BATCH_OCTETS_MAX <= limits.FRAME_PAYLOAD_OCTETS_MAX <= codec.PAYLOAD_OCTETS_MAX
    assert 2 * limits.FRAME_PAYLOAD_OCTETS_MAX <= limits.LINK_BACKLOG_OCTETS_MAX  # one large frame is not yet a peer that does not read
    assert QMGR.cdb_segment_octets >= limits.RELOCATION_OCTETS_MAX
    assert limits.CONTENT_MEMORY_OCTETS_MAX <= limits.RELOCATION_OCTETS_MAX  # what shares a segment can be copied
    assert SMTPS.content_memory_max_octets < SMTPS.cdb_segment_octets
    assert QMGR.min_free_octets > QMGR.ibdb_segment_octets + SMTPS.cdb_segment_octets


LARGE = (1 << 63) - 1
ADDRESS = b"a" * PATH_OCTETS_MAX
REMOTE = "r" * (limits.DOMAIN_OCTETS_MAX + 50)  # name [address]
CONTENT = Content(LARGE, LARGE, LARGE, 0xFFFFFFFF, LARGE, LARGE, LARGE, eight_bit=True, utf8_headers=True, dot_lines=LARGE)


def longest_recipients(count: int) -> tuple[Recipient, ...]:
    return tuple(Recipient(1 << 40, ADDRESS, 15, b"o" * ORCPT_OCTETS_MAX) for _ in range(count))


def longest_envelope(recipients: int) -> Envelope:
    text = "t" * limits.COMMAND_LINE_OCTETS_MAX
    return Envelope(LARGE, ADDRESS, longest_recipients(recipients), CONTENT, LARGE, LARGE, text, envid=b"e" * limits.ENVID_OCTETS_MAX, server=text)


def longest_messages() -> dict[str, AnyMessage]:
    verdict = Verdict(1 << 40, 3, 550, b"5.123.123", b"t" * limits.REPLY_TEXT_OCTETS_MAX, REMOTE)
    row = QueueRow(LARGE, 1 << 40, "quarantined", ADDRESS, ADDRESS, REMOTE, LARGE, LARGE, 1 << 40, LARGE, b"t" * REASON_OCTETS_MAX, LARGE, LARGE, REMOTE)
    return {
        "Submit": Submit(longest_envelope(RECIPIENTS_CEILING)),
        "Resolved": Resolved(LARGE, expansion=(ADDRESS,) * EXPANSION_RECIPIENTS_MAX, reverse_path=ADDRESS),
        "Delivered": Delivered(LARGE, (verdict,) * RECIPIENTS_FRAME_MAX),
        "QueueListed": QueueListed(1, (row,) * ANSWER_ROWS_MAX),
    }


@pytest.mark.parametrize("name", longest_messages())
def test_the_longest_message_between_two_processes_fits_into_a_frame(name: str) -> None:
    """Else the link breaks, and the same message comes again on the next one, for ever."""
    assert len(msgspec.msgpack.encode(longest_messages()[name])) + 4 * KIB < limits.FRAME_PAYLOAD_OCTETS_MAX


def test_the_longest_opening_fits_into_a_record_of_the_log() -> None:
    """A transaction that is copied forward: every recipient, every alias followed, each with the longest reply of its host."""
    state = RecipientState(1 << 40, 2, 1 << 20, LARGE, 450, b"4.123.123", b"t" * limits.REPLY_TEXT_OCTETS_MAX, REMOTE, True, 2, True, 3)
    expanded = Expanded(LARGE, 1 << 40, longest_recipients(EXPANSION_RECIPIENTS_MAX), ADDRESS)
    opened = Opened(LARGE, longest_envelope(RECIPIENTS_CEILING), (state,) * (RECIPIENTS_CEILING + EXPANSION_RECIPIENTS_MAX), (expanded,))
    assert len(encode_record(opened)) < codec.PAYLOAD_OCTETS_MAX
