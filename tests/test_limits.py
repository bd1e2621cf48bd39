"""The bounds fit each other and the standards."""

from smx import limits
from smx.units import DAY, KIB, MINUTE


def test_sizes_accept_at_least_what_rfc_5321_asks_for() -> None:
    # RFC 5321 4.5.3.1
    assert limits.LOCAL_PART_OCTETS_MAX >= 64
    assert limits.DOMAIN_OCTETS_MAX >= 255
    assert limits.PATH_OCTETS_MAX >= 256
    assert limits.COMMAND_LINE_OCTETS_MAX >= 1036 + 10  # RFC 3461 5 and RFC 6531 3.1
    assert limits.REPLY_LINE_OCTETS_MAX <= 512
    assert limits.TEXT_LINE_OCTETS_MAX >= 1000
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
    assert limits.COMMAND_TIMEOUT_US >= 5 * MINUTE
    assert limits.EXPIRY_US >= 4 * DAY  # RFC 5321 4.5.4.1


def test_smaller_things_fit_into_larger_ones() -> None:
    assert limits.LABEL_OCTETS_MAX < limits.DOMAIN_OCTETS_MAX < limits.PATH_OCTETS_MAX < limits.COMMAND_LINE_OCTETS_MIN
    assert limits.COMMAND_LINE_OCTETS_MIN <= limits.COMMAND_LINE_OCTETS_MAX <= limits.AUTH_LINE_OCTETS_MAX < limits.INPUT_OCTETS_MAX
    assert limits.PATH_OCTETS_MAX + limits.ORCPT_OCTETS_MAX + limits.ENVID_OCTETS_MAX < limits.COMMAND_LINE_OCTETS_MAX
    assert limits.REPLY_LINE_OCTETS_MAX <= limits.REPLY_LINE_RECEIVED_OCTETS_MAX
    assert limits.MESSAGE_OCTETS_MIN <= limits.CONTENT_MEMORY_OCTETS_MAX <= limits.MESSAGE_OCTETS_MAX <= limits.MESSAGE_OCTETS_CEILING
    assert limits.HEADER_OCTETS_MAX <= limits.CONTENT_MEMORY_OCTETS_MAX <= limits.CONTENT_MEMORY_BUDGET_OCTETS_MAX
    assert limits.RECIPIENTS_MIN <= limits.RECIPIENTS_PER_DELIVERY_MAX <= limits.RECIPIENTS_MAX <= limits.RECIPIENTS_CEILING
    assert limits.ERRORS_MAX <= limits.REFUSALS_MAX
    assert limits.CONNECTIONS_INITIAL <= limits.CONNECTIONS_PER_DESTINATION_MAX <= limits.DELIVERIES_MAX
    assert limits.RETRY_DELAY_MIN_US <= limits.RETRY_DELAY_MAX_US <= limits.EXPIRY_US
    assert limits.AQ_ENTRIES_MAX <= limits.EDBC_ENTRIES_MAX


def test_a_record_and_a_group_fit_into_their_log_and_link() -> None:
    envelope = limits.RECIPIENTS_MAX * (limits.PATH_OCTETS_MAX + limits.ORCPT_OCTETS_MAX) + limits.COMMAND_LINE_OCTETS_MAX
    assert envelope < limits.FRAME_PAYLOAD_OCTETS_MAX  # an envelope with every recipient at its longest is one message
    assert envelope < limits.LOG_RECORD_OCTETS_MAX
    assert limits.LOG_RECORD_OCTETS_MAX <= limits.LOG_GROUP_OCTETS_MAX <= limits.IBDB_SEGMENT_OCTETS_MAX
    assert limits.FRAME_BATCH_OCTETS_MAX <= limits.FRAME_PAYLOAD_OCTETS_MAX <= limits.LINK_BACKLOG_OCTETS_MAX
    assert limits.CONTENT_MEMORY_OCTETS_MAX < limits.CONTENT_SEGMENT_OCTETS_MAX
    assert limits.DISK_FREE_OCTETS_MIN > limits.IBDB_SEGMENT_OCTETS_MAX + limits.CONTENT_SEGMENT_OCTETS_MAX
