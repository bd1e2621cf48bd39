"""Notes: the event log as a table. Metrics, checkers and people read it; a name that is not here fails a test.

A component emits `Note(name, values)` with the values in the order of the row; the runtime adds time, process and pid and
writes a JSON line. Ids are numbers here and text in the line (`id` marks them). The whole envelope stands in the log (SX67):
`submitted`, `recipient` and the closing notes suffice to rebuild what was in the queue.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from smx.effects import Note
from smx.ids import id_text


class Level(IntEnum):
    """Levels of Log_Level (SX68): a module writes the notes of its level and below."""

    ERROR = 1
    MAIL = 5  # what became of mail: the default
    SESSION = 7  # each session and delivery
    DEBUG = 9


class NoteKind(msgspec.Struct, frozen=True):
    """One row: the fields in order, each `name:unit` (id, us, stamp, octets, count, code, text), and when it is emitted."""

    name: str
    level: Level
    fields: tuple[str, ...]
    when: str


def _row(name: str, level: Level, fields: str, when: str) -> tuple[str, NoteKind]:
    return name, NoteKind(name, level, tuple(fields.split()), when)


# fmt: off
# ruff: noqa: E501
NOTES: Final[dict[str, NoteKind]] = dict([
    # name              level          fields                                                                              when
    _row("started",     Level.MAIL,     "epoch:count",                                                                                       "a process begins"),
    _row("ready",       Level.MAIL,     "epoch:count",                                                                                       "a process can serve"),
    _row("stopping",    Level.MAIL,     "reason:text",                                                                                       "an orderly stop begins"),
    _row("halted",      Level.ERROR,    "reason:text",                                                                                       "a process ends itself"),
    _row("clock",       Level.ERROR,    "offset:us",                                                                                         "the wall clock jumped"),
    _row("session",     Level.SESSION,  "session:id client:text server:text",                                                                "a client connected"),
    _row("greeted",     Level.SESSION,  "session:id name:text protocol:text",                                                                "HELO, EHLO or LHLO was taken"),
    _row("ended",       Level.SESSION,  "session:id reason:text",                                                                            "a session is over"),
    _row("refused",     Level.MAIL,     "session:id transaction:id command:text code:code text:text",                                        "a command or message got 4yz or 5yz"),
    _row("accepted",    Level.MAIL,     "session:id transaction:id recipients:count octets:octets",                                          "the last octet of 250 for a message was handed to the socket"),
    _row("vanished",    Level.MAIL,     "session:id transaction:id",                                                                         "the client was gone before the reply to the final dot"),
    _row("submitted",   Level.MAIL,     "transaction:id session:id sender:text recipients:count octets:octets segment:count offset:octets client:text", "QMGR took over an envelope"),
    _row("recipient",   Level.MAIL,     "transaction:id index:count address:text orcpt:text notify:count",                                   "one for each recipient behind submitted"),
    _row("durable",     Level.SESSION,  "transaction:id",                                                                                    "the envelope's group was synced"),
    _row("expanded",    Level.MAIL,     "transaction:id index:count address:text into:text",                                                 "an alias was followed; one for each new recipient"),
    _row("begun",       Level.SESSION,  "delivery:count transaction:id destination:text recipients:count attempt:count",                     "QMGR handed a delivery to SMTPC"),
    _row("dot",         Level.SESSION,  "delivery:count transaction:id remote:text",                                                         "SMTPC handed the final dot to the socket"),
    _row("replied",     Level.SESSION,  "delivery:count transaction:id code:code text:text",                                                 "the peer replied to the final dot"),
    _row("verdict",     Level.MAIL,     "transaction:id index:count attempt:count outcome:text code:code text:text remote:text",             "QMGR got a recipient's result"),
    _row("recorded",    Level.SESSION,  "transaction:id index:count attempt:count",                                                          "the verdict's group was synced (A13)"),
    _row("deferred",    Level.MAIL,     "transaction:id index:count attempt:count next_try:stamp text:text",                                 "a recipient waits for another attempt"),
    _row("bounced",     Level.MAIL,     "transaction:id kind:text notification:id recipients:count to:text",                                 "a DSN was queued"),
    _row("unbounced",   Level.MAIL,     "transaction:id index:count reason:text",                                                            "a failure that nobody is told: NOTIFY=NEVER or null reverse-path"),
    _row("removed",     Level.MAIL,     "transaction:id index:count who:text",                                                               "an operator removed a recipient"),
    _row("quarantined", Level.ERROR,    "transaction:id index:count reason:text",                                                            "a recipient or record was set aside"),
    _row("closed",      Level.MAIL,     "transaction:id",                                                                                    "every recipient of a transaction is done"),
    _row("spilled",     Level.MAIL,     "recipients:count",                                                                                  "recipients moved from AQ to DEFEDB (A8)"),
    _row("recovering",  Level.MAIL,     "segments:count octets:octets",                                                                      "recovery begins"),
    _row("damaged",     Level.ERROR,    "store:text segment:count offset:octets octets:octets reason:text",                                  "recovery found damage (A2)"),
    _row("recovered",   Level.MAIL,     "transactions:count recipients:count deferred:count elapsed:us",                                     "recovery ended, delivery starts"),
    _row("throttled",   Level.MAIL,     "state:text reason:text",                                                                            "admission changed (SX23)"),
    _row("segment",     Level.SESSION,  "store:text segment:count action:text",                                                              "opened, sealed or removed"),
    _row("copied",      Level.SESSION,  "segment:count transactions:count",                                                                  "old openings were written again (A3)"),
    _row("destination", Level.MAIL,     "destination:text state:text text:text",                                                             "a destination died or came back"),
    _row("deposited",   Level.MAIL,     "session:id mailbox:text octets:octets name:text",                                                   "a message is in a Maildir"),
    _row("audit",       Level.MAIL,     "who:text verb:text filter:text recipients:count",                                                   "an operator changed the queue or a limit"),
    _row("limit",       Level.MAIL,     "name:text value:count who:text",                                                                    "a limit was changed at run time"),
    _row("launched",    Level.MAIL,     "process:text pid:count epoch:count",                                                                "MCP started a process"),
    _row("exited",      Level.MAIL,     "process:text pid:count status:count",                                                               "MCP saw a process end"),
    _row("restarting",  Level.MAIL,     "process:text delay:us reason:text",                                                                 "MCP will start a process again"),
    _row("dns",         Level.DEBUG,    "name:text type:text status:text",                                                                   "SMAR got an answer"),
    _row("map",         Level.MAIL,     "map:text rows:count version:count error:text",                                                      "a map was loaded"),
    _row("relocated",   Level.SESSION,  "segment:count transactions:count octets:octets",                                                    "live content was copied out of a segment that was mostly dead (A3)"),
    _row("trouble",     Level.ERROR,    "what:text text:text",                                                                               "expected trouble from outside that nothing else says"),
])
# fmt: on


def text(value: bytes) -> str:
    """Octets of a peer as log text: never a surrogate, never a control character raw in the terminal (F23)."""
    return value.decode("utf-8", "backslashreplace")


def fields(note: Note) -> Iterator[tuple[str, int | str]]:
    """Names and values of a note as they stand in the log line. Raises KeyError for a name that is not in the table."""
    for field, value in zip(NOTES[note.name].fields, note.values, strict=True):
        name, _, unit = field.partition(":")
        if unit == "id":
            yield name, id_text(int(value))
        elif isinstance(value, bytes):
            yield name, text(value)
        else:
            yield name, value
