"""The dialogues as tables: every state with every verb (server), every stage with every kind of reply (client). Nothing is undefined.

The server's columns are its states; a cell names an action of the dialogue (lower case) or a row of the reply table (upper case) with which
the command is refused, the state staying as it is (RFC 5321 4.1.4). `ACCEPTED` and `REFUSED` give the state after an action that waits for a decision.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where a server session stands. Whether a decision is awaited is apart from it: then no command is read."""

    REFUSED = 0  # the greeting was 554: only QUIT is served (RFC 5321 3.1)
    START = 1  # greeted, no HELO, EHLO or LHLO yet (again so after STARTTLS)
    READY = 2  # HELO, EHLO or LHLO done, no transaction
    MAIL = 3  # a transaction is open, no recipient accepted yet
    RCPT = 4  # at least one recipient accepted
    BDAT = 5  # between two BDAT commands
    FAILED = 6  # a BDAT failed: RSET is needed (RFC 3030 2)
    # In the states below no commands are read.
    GREETING = 7  # the role has not decided the greeting
    DATA = 8  # content until CRLF.CRLF
    CHUNK = 9  # content of a BDAT
    TLS = 10  # the handshake
    CLOSED = 11


COMMAND_STATES: Final = (State.REFUSED, State.START, State.READY, State.MAIL, State.RCPT, State.BDAT, State.FAILED)
SILENT_STATES: Final = (State.GREETING, State.DATA, State.CHUNK, State.TLS, State.CLOSED)
TRANSACTION_STATES: Final = (State.MAIL, State.RCPT, State.BDAT, State.FAILED, State.DATA, State.CHUNK)

Row = tuple[str, str, str, str, str, str, str]

OTHER: Final = b""  # the row of every verb that is not in the table

# fmt: off
_COMMON: Final[dict[bytes, Row]] = {
    # verb        REFUSED            START           READY           MAIL             RCPT             BDAT             FAILED
    b"MAIL":     ("NO_SERVICE_QUIT", "HELO_FIRST",   "mail",         "MAIL_NESTED",   "MAIL_NESTED",   "MAIL_NESTED",   "RESET_NEEDED"),
    b"RCPT":     ("NO_SERVICE_QUIT", "HELO_FIRST",   "MAIL_FIRST",   "rcpt",          "rcpt",          "AFTER_CONTENT", "RESET_NEEDED"),
    b"DATA":     ("NO_SERVICE_QUIT", "HELO_FIRST",   "MAIL_FIRST",   "NO_RECIPIENTS", "data",          "MIXED_CONTENT", "RESET_NEEDED"),
    b"BDAT":     ("NO_SERVICE_QUIT", "skip",         "skip",         "skip",          "bdat",          "bdat",          "skip"),
    b"RSET":     ("NO_SERVICE_QUIT", "rset",         "rset",         "rset",          "rset",          "rset",          "rset"),
    b"NOOP":     ("NO_SERVICE_QUIT", "noop",         "noop",         "noop",          "noop",          "noop",          "noop"),
    b"VRFY":     ("NO_SERVICE_QUIT", "vrfy",         "vrfy",         "vrfy",          "vrfy",          "vrfy",          "vrfy"),
    b"EXPN":     ("NO_SERVICE_QUIT", "vrfy",         "vrfy",         "vrfy",          "vrfy",          "vrfy",          "vrfy"),  # disabled is 252: 7.3
    b"HELP":     ("NO_SERVICE_QUIT", "help",         "help",         "help",          "help",          "help",          "help"),
    b"STARTTLS": ("NO_SERVICE_QUIT", "HELO_FIRST",   "starttls",     "NOT_NOW",       "NOT_NOW",       "NOT_NOW",       "NOT_NOW"),
    b"AUTH":     ("NO_SERVICE_QUIT", "NOT_IMPLEMENTED", "NOT_IMPLEMENTED", "NOT_IMPLEMENTED", "NOT_IMPLEMENTED", "NOT_IMPLEMENTED", "NOT_IMPLEMENTED"),
    b"QUIT":     ("quit",            "quit",         "quit",         "quit",          "quit",          "quit",          "quit"),
    OTHER:       ("NO_SERVICE_QUIT", "UNKNOWN",      "UNKNOWN",      "UNKNOWN",       "UNKNOWN",       "UNKNOWN",       "UNKNOWN"),
}
SMTP: Final[dict[bytes, Row]] = _COMMON | {
    b"EHLO":     ("NO_SERVICE_QUIT", "ehlo",         "ehlo",         "ehlo",          "ehlo",          "ehlo",          "ehlo"),
    b"HELO":     ("NO_SERVICE_QUIT", "helo",         "helo",         "helo",          "helo",          "helo",          "helo"),
}
LMTP: Final[dict[bytes, Row]] = _COMMON | {  # RFC 2033 4.1: EHLO and HELO do not exist, LHLO takes their place; 4.2: DATA without recipients is 503
    b"LHLO":     ("NO_SERVICE_QUIT", "lhlo",         "lhlo",         "lhlo",          "lhlo",          "lhlo",          "lhlo"),
    b"DATA":     ("NO_SERVICE_QUIT", "HELO_FIRST",   "MAIL_FIRST",   "NO_RECIPIENTS_LMTP", "data",     "MIXED_CONTENT", "RESET_NEEDED"),
}

# the state after an action that the role accepted, and after one that it refused; an action without entry leaves the state as it was
ACCEPTED: Final = {
    "helo":     State.READY,   # also ehlo and lhlo: an open transaction is reset only when they are accepted (RFC 5321 4.1.4)
    "mail":     State.MAIL,
    "rcpt":     State.RCPT,
    "data":     State.DATA,
    "bdat":     State.CHUNK,
    "content":  State.READY,   # the end of the content: the transaction is over either way (RFC 5321 4.1.1.4)
    "starttls": State.TLS,
}
REFUSED: Final = {
    "bdat":     State.FAILED,  # once the refused chunk is read over (RFC 3030 2)
    "content":  State.READY,
}
# fmt: on


class Stage(IntEnum):
    """What a client session waits for."""

    GREETING = 1
    EHLO = 2
    HELO = 3
    STARTTLS = 4
    IDLE = 5  # no reply is due
    MAIL = 6
    RCPT = 7
    DATA = 8
    CONTENT = 9  # the content is being sent: no reply is due
    END = 10  # the final dot or BDAT LAST was sent
    DISCARD = 11  # a lone dot was sent for a content that has no recipients (RFC 2920 3.1)
    RSET = 12
    QUIT = 13


KINDS: Final = ("2yz", "3yz", "4yz", "5yz", "421", "malformed")

# fmt: off
# `broken`: the protocol is broken, what is undecided is deferred, the session closes. `closed`: 421, the same with the server's words (RFC 5321 3.8).
CLIENT: Final[dict[Stage, tuple[str, str, str, str, str, str]]] = {
    # stage           2yz           3yz         4yz            5yz            421        malformed
    Stage.GREETING: ("say_ehlo",   "broken",   "give_up",     "give_up",     "closed",  "broken"),
    Stage.EHLO:     ("take_offers", "broken",  "give_up",     "say_helo",    "closed",  "broken"),   # RFC 5321 3.2: HELO when EHLO is not known
    Stage.HELO:     ("take_none",  "broken",   "give_up",     "give_up",     "closed",  "broken"),
    Stage.STARTTLS: ("want_tls",   "broken",   "without_tls", "without_tls", "closed",  "broken"),
    Stage.IDLE:     ("broken",     "broken",   "broken",      "broken",      "closed",  "broken"),
    Stage.MAIL:     ("accepted",   "broken",   "mail_refused", "mail_refused", "closed", "broken"),
    Stage.RCPT:     ("accepted",   "broken",   "rcpt_refused", "rcpt_refused", "closed", "broken"),
    Stage.DATA:     ("broken",     "go_ahead", "data_refused", "data_refused", "closed", "broken"),
    Stage.CONTENT:  ("broken",     "broken",   "cut_short",   "cut_short",   "closed",  "broken"),
    Stage.END:      ("delivered",  "broken",   "end_refused", "end_refused", "closed",  "broken"),
    Stage.DISCARD:  ("go_on",      "broken",   "go_on",       "go_on",       "closed",  "broken"),
    Stage.RSET:     ("go_on",      "broken",   "rset_refused", "rset_refused", "closed", "broken"),
    Stage.QUIT:     ("over",       "over",     "over",        "over",        "over",    "over"),
}
# fmt: on


def render_server(table: dict[bytes, Row]) -> str:
    """The server's table as text: one line for each verb, one column for each state that reads commands."""
    head = ["verb", *(state.name for state in COMMAND_STATES)]
    rows = [[verb.decode("ascii") or "(other)", *table[verb]] for verb in sorted(table, key=lambda verb: (verb == OTHER, verb))]
    return _aligned([head, *rows])


def render_client() -> str:
    """The client's table as text: one line for each stage, one column for each kind of reply."""
    return _aligned([["stage", *KINDS], *([stage.name, *row] for stage, row in CLIENT.items())])


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)
