"""Limits: the bounds that no configuration changes, so that memory, queues and patience are finite in every state (I16).

What an administrator may choose has its default in smx/config/schema_*.py instead; the comment here says which standard asks for how much.
The relations between both (a frame holds any message, a path holds a whole mailbox ...) are asserted in tests/test_limits.py.
"""

from typing import Final

from smx.units import GIB, KIB, MIB, MINUTE, SECOND

# Sizes of SMTP (RFC 5321 4.5.3.1). The RFC's numbers are what must at least be accepted; where more does no harm only a larger whole bounds the part.
LOCAL_PART_OCTETS_MIN: Final = 64  # 4.5.3.1.1: what must be accepted; the path bounds it (SRS and VERP make long ones)
DOMAIN_OCTETS_MAX: Final = 255  # 4.5.3.1.2
LABEL_OCTETS_MAX: Final = 63  # RFC 1035 2.3.4
PATH_OCTETS_MAX: Final = 256  # 4.5.3.1.3: with the punctuation, without a source route, which is stripped
COMMAND_LINE_OCTETS_MIN: Final = 512  # 4.5.3.1.4: a shorter line is never "too long"
COMMAND_LINE_OCTETS_MAX: Final = 2048  # with CRLF; DSN asks for 1036 at least (RFC 3461 5), SMTPUTF8 for 10 more
REPLY_LINE_OCTETS_MAX: Final = 512  # 4.5.3.1.5: what we send; with code and CRLF
REPLY_LINE_RECEIVED_OCTETS_MAX: Final = 2048  # what we take from a server that says more
REPLY_LINES_MAX: Final = 128  # of one reply that we receive
REPLY_TEXT_OCTETS_MAX: Final = 1024  # of a received reply that is kept for verdict, log and DSN
MESSAGE_OCTETS_MIN: Final = 64 * KIB  # 4.5.3.1.7: the least limit that may be configured
MESSAGE_OCTETS_MAX: Final = 64 * MIB  # default of SIZE (RFC 1870)
HEADER_OCTETS_MAX: Final = 256 * KIB  # of the header section of a message
RECIPIENTS_MIN: Final = 100  # 4.5.3.1.8: the least limit that may be configured
RECIPIENTS_MAX: Final = 1_000  # accepted in one transaction; more get 452 4.5.3
HOPS_MAX: Final = 100  # Received fields (RFC 5321 6.3)
DELIVERED_TO_MAX: Final = 100  # Delivered-To values that are kept for the loop check
PARAMETERS_MAX: Final = 16  # ESMTP parameters of one command
ENVID_OCTETS_MAX: Final = 100  # RFC 3461 4.4
ORCPT_OCTETS_MAX: Final = 500  # RFC 3461 4.2
SOURCE_ROUTE_HOPS_MAX: Final = 20  # of a source route, accepted and stripped (RFC 5321 appendix C)
SIZE_DIGITS_MAX: Final = 20  # of SIZE (RFC 1870 4) and BDAT

# Patience of the SMTP client (RFC 5321 4.5.3.2) and of the server.
GREETING_TIMEOUT_US: Final = 5 * MINUTE  # 4.5.3.2.1
HELO_TIMEOUT_US: Final = 5 * MINUTE
MAIL_TIMEOUT_US: Final = 5 * MINUTE  # 4.5.3.2.2
RCPT_TIMEOUT_US: Final = 5 * MINUTE  # 4.5.3.2.3
DATA_INITIATION_TIMEOUT_US: Final = 2 * MINUTE  # 4.5.3.2.4
DATA_BLOCK_TIMEOUT_US: Final = 3 * MINUTE  # 4.5.3.2.5
DATA_TERMINATION_TIMEOUT_US: Final = 10 * MINUTE  # 4.5.3.2.6
RSET_TIMEOUT_US: Final = 1 * MINUTE  # nothing of a transaction depends on it
QUIT_TIMEOUT_US: Final = 10 * SECOND  # the transaction is over: nobody waits for the answer
STARTTLS_TIMEOUT_US: Final = 5 * MINUTE

# Misbehaviour in one session.
ERRORS_MAX: Final = 20  # commands that the dialogue itself refuses, since the last accepted message; then 421
REFUSALS_MAX: Final = 100  # senders and recipients that were refused, since the last accepted message; then 421
INNOCENT_REFUSALS_MAX: Final = 10_000  # refusals that good manners meet under pipelining, since the last accepted message; then 421
JUNK_COMMANDS_MAX: Final = 100  # NOOP, RSET, VRFY, EXPN, HELP, repeated EHLO since the last accepted message; then 421
INPUT_OCTETS_MAX: Final = 64 * KIB  # pipelined input that is held back before reading is paused
CONTENT_DISCARDED_OCTETS_MAX: Final = 256 * MIB  # of a message beyond its limit, before the session is closed (F31)

# Sessions of SMTPS and SMTPC.
DELIVERIES_MAX: Final = 1_000  # in one SMTPC process
SESSION_IDLE_TIMEOUT_US: Final = 5 * SECOND  # an open outgoing session waits so long for its next transaction
RECIPIENTS_PER_DELIVERY_MAX: Final = 100  # RFC 5321 4.5.3.1.8: a server takes at least so many

# Content.
CONTENT_MEMORY_OCTETS_MAX: Final = 256 * KIB  # a message up to this waits in memory and is appended in one piece (A5)
CONTENT_CHUNK_OCTETS: Final = 256 * KIB  # of one read from CDB towards a peer
RELOCATION_OCTETS_MAX: Final = 4 * MIB  # a larger message is not copied when its segment is given up (A3)
RELOCATION_RATE_OCTETS: Final = 4 * MIB  # copied in a second

# The queue.
CRASHES_MAX: Final = 3  # an envelope that was in hand at so many crashes is quarantined (A14),
CRASHES_ALONE_MIN: Final = 2  # if at so many of them nothing else could have been the cause
SUSPECT_PATIENCE_US: Final = 5 * SECOND  # a delivery under suspicion that has done no harm for so long lets the next one begin
STORE_BATCH_ROWS_MAX: Final = 1_000
ALIAS_DEPTH_MAX: Final = 10
EXPANSION_RECIPIENTS_MAX: Final = 10_000  # that the aliases of one transaction may become while it is in memory
DSN_FULL_OCTETS_MAX: Final = CONTENT_CHUNK_OCTETS  # a message up to this is returned whole when the sender asked for it (RFC 3461 6.2: a length of our choice)
DSN_UNASKED_OCTETS_MAX: Final = 64 * KIB  # the same when the sender said nothing

# Routes (RFC 5321 5.1).
MX_RECORDS_MAX: Final = 100  # that are looked at
MX_HOSTS_MAX: Final = 10  # that are looked up; 5.1 asks for two addresses at least
MX_HOST_ADDRESSES_MAX: Final = 8  # of one host

# Logs and links between processes.
FRAME_PAYLOAD_OCTETS_MAX: Final = 16 * MIB  # one frame between two processes: it holds any one message
FRAME_BATCH_OCTETS_MAX: Final = 256 * KIB  # frames that are written together in one loop turn
LINK_BACKLOG_OCTETS_MAX: Final = 64 * MIB
QUESTIONS_OUTSTANDING_MAX: Final = 4_096  # to SMAR from one process

# What no configuration may exceed.
MESSAGE_OCTETS_CEILING: Final = 4 * GIB
RECIPIENTS_CEILING: Final = 20_000  # of one transaction: its envelope is one message between two processes
