"""Server content: how the server dialogue reads a message: DATA until the lone dot, BDAT by the count, and what nobody wants.

Functions of a ServerDialogue (smx.smtp.server), which calls them while it is in one of the states DATA and CHUNK. See also: data (the octets), reception
(counting and judging them).
Standards: RFC 5321 4.1.1.4 and 4.5.2, RFC 3030, RFC 2033 4.2 and 4.3, RFC 1870 6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from smx import limits
from smx.smtp import replies, states
from smx.smtp.reception import Chunk
from smx.smtp.reply import Reply
from smx.smtp.requests import ContentChunk, ContentEnd, ContentRefused
from smx.smtp.states import State

if TYPE_CHECKING:
    from smx.smtp.server import ServerDialogue

_TAKE_OCTETS_MAX: Final = limits.CONTENT_CHUNK_OCTETS


def read_data(dialogue: ServerDialogue) -> bool:
    data = dialogue.data
    assert data is not None
    octets = dialogue.reader.take_all()
    if not octets:
        return False
    content = data.feed(octets)
    _take(dialogue, content, dots=data.dots)
    if data.done:
        dialogue.data = None
        if dialogue.state is State.DATA:
            dialogue.reader.feed(data.rest)
            _finish_content(dialogue)
    return True


def _take(dialogue: ServerDialogue, octets: bytes, *, dots: bool = True) -> None:
    reception = dialogue.reception
    assert reception is not None
    if octets and reception.take(octets, dots=dots):
        dialogue.queue.append(ContentChunk(octets))
    elif reception.endless:
        dialogue.end_with(replies.ENDLESS_CONTENT)


def _finish_content(dialogue: ServerDialogue) -> None:
    assert dialogue.reception is not None
    judgement = dialogue.reception.judge()
    if not isinstance(judgement, Reply):
        dialogue.ask(ContentEnd(judgement))
        return
    recipients = dialogue.recipients
    dialogue.end_transaction(accepted=False)
    say_final(dialogue, judgement, recipients)
    dialogue.queue.append(ContentRefused(judgement))


def begin_chunk(dialogue: ServerDialogue, chunk: Chunk) -> None:
    """A chunk of BDAT that is received."""
    assert dialogue.reception is not None
    if not dialogue.reception.has_room(chunk.left):
        dialogue.role_open = False
        dialogue.queue.append(ContentRefused(replies.SIZE_EXCEEDED))
        skip_chunk(dialogue, chunk, replies.SIZE_EXCEEDED)
        chunk.state_after = states.REFUSED["bdat"]
        return
    dialogue.state = states.ACCEPTED["bdat"]
    if not chunk.left:
        _finish_chunk(dialogue, chunk)


def skip_chunk(dialogue: ServerDialogue, chunk: Chunk, reply: Reply) -> None:
    """A chunk of BDAT that is read over and then refused with `reply`; the state is then what it was, unless the caller says otherwise."""
    dialogue.chunk = chunk
    chunk.refusal = reply
    chunk.state_after = dialogue.state
    dialogue.state = State.CHUNK


def read_chunk(dialogue: ServerDialogue) -> bool:
    chunk = dialogue.chunk
    assert chunk is not None
    if chunk.left:
        octets = dialogue.reader.take(min(chunk.left, _TAKE_OCTETS_MAX))
        if not octets:
            return False
        chunk.left -= len(octets)
        if chunk.refusal is None:
            _take(dialogue, octets)
    if not chunk.left and dialogue.state is State.CHUNK:
        _finish_chunk(dialogue, chunk)
    return True


def _finish_chunk(dialogue: ServerDialogue, chunk: Chunk) -> None:
    dialogue.chunk = None
    if chunk.refusal is not None:
        _finish_skipped(dialogue, chunk, chunk.refusal)
    elif chunk.last:
        _finish_content(dialogue)
    else:
        dialogue.state = State.BDAT
        dialogue.say(replies.CHUNK_OK)


def _finish_skipped(dialogue: ServerDialogue, chunk: Chunk, reply: Reply) -> None:
    state = dialogue.state = chunk.state_after
    if chunk.last and state in states.TRANSACTION_STATES:
        say_final(dialogue, reply, dialogue.recipients)  # RFC 2033 4.3: none at all when there is no recipient
        if dialogue.lmtp and state is State.MAIL:
            dialogue.reset_transaction()
    else:
        dialogue.say(reply)
    dialogue.bear(dialogue.conduct.error() if state in (State.START, State.READY) else dialogue.conduct.innocent())


def say_final(dialogue: ServerDialogue, reply: Reply, recipients: int) -> None:
    """The reply after the content: once in SMTP, once for each recipient in LMTP (RFC 2033 4.2)."""
    for _ in range(recipients if dialogue.lmtp else 1):
        dialogue.say(reply)
