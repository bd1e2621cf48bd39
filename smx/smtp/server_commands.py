"""Server commands: what the server dialogue does for each command, by the actions that the tables of `states` name.

Each is a function of a ServerDialogue (smx.smtp.server): it refuses the command, answers it, or makes it a request that waits for the role's decision.
See also: commands (the syntax), server_content (what follows DATA and BDAT).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.smtp import replies
from smx.smtp import server_content as content
from smx.smtp.commands import bdat_chunk, helo_name, mail_request, rcpt_request
from smx.smtp.reply import Reply
from smx.smtp.requests import ContentBegin, Helo, Quit, StartTls
from smx.smtp.states import State

if TYPE_CHECKING:
    from smx.smtp.server import ServerDialogue

_SKIPPED: Final = {
    State.START: replies.HELO_FIRST,
    State.READY: replies.MAIL_FIRST,
    State.MAIL: replies.NO_RECIPIENTS,
    State.FAILED: replies.RESET_NEEDED,
}


def on_helo(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    name = helo_name(argument, lenient=dialogue.settings.lenient)
    if name is None:
        dialogue.refuse(verb, replies.HELO_SYNTAX)
        return
    if dialogue.reader.pending and not dialogue.tolerate_pipelining():
        return
    if dialogue.helo_name and not dialogue.count_junk():
        return
    dialogue.ask(Helo(name, verb))


def on_mail(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    request = mail_request(argument, dialogue.offers, lenient=dialogue.settings.lenient)
    if isinstance(request, Reply):
        dialogue.refuse(verb, request)
    elif request.size > dialogue.settings.message_octets_max:
        dialogue.refuse(verb, replies.SIZE_EXCEEDED, count=False)  # RFC 1870 6.1
    else:
        dialogue.ask(request)


def on_rcpt(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    request = rcpt_request(argument, dialogue.offers, smtputf8=dialogue.smtputf8, lenient=dialogue.settings.lenient)
    if isinstance(request, Reply):
        dialogue.refuse(verb, request)
    elif dialogue.recipients >= dialogue.settings.recipients_max:
        dialogue.refuse(verb, replies.RECIPIENTS_EXCEEDED, count=False)  # RFC 5321 4.5.3.1.10
    else:
        dialogue.ask(request)


def on_data(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if argument:
        dialogue.refuse(verb, replies.NO_ARGUMENTS)
    elif not dialogue.reader.pending or dialogue.tolerate_pipelining():
        dialogue.ask(ContentBegin(chunked=False))


def on_bdat(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    chunk = bdat_chunk(argument)
    if chunk is None:
        dialogue.refuse(verb, replies.CHUNK_SYNTAX)
    elif not dialogue.offers.chunking:
        content.skip_chunk(dialogue, chunk, replies.NOT_IMPLEMENTED)
    else:
        dialogue.chunk = chunk
        if dialogue.state is State.RCPT:
            dialogue.ask(ContentBegin(chunked=True))
        elif chunk.left or chunk.last or dialogue.count_junk():
            content.begin_chunk(dialogue, chunk)


def on_skip(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    """BDAT where it cannot be served: its octets follow all the same, and must not be taken for commands (RFC 3030 2)."""
    chunk = bdat_chunk(argument)
    if chunk is None:
        dialogue.refuse(verb, replies.CHUNK_SYNTAX)
    else:
        content.skip_chunk(dialogue, chunk, _SKIPPED[dialogue.state])


def on_rset(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if argument:
        dialogue.refuse(verb, replies.NO_ARGUMENTS)
    elif dialogue.count_junk():
        dialogue.reset_transaction()
        dialogue.say(replies.RSET_OK)


def on_noop(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if dialogue.count_junk():
        dialogue.say(replies.NOOP_OK)


def on_vrfy(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if not argument:
        dialogue.refuse(verb, replies.SYNTAX)
    elif dialogue.count_junk():
        dialogue.say(replies.VRFY_CANNOT)


def on_help(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if dialogue.count_junk():
        dialogue.say(replies.HELP_LMTP if dialogue.lmtp else replies.HELP)


def on_starttls(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if argument:
        dialogue.refuse(verb, replies.NO_ARGUMENTS)
    elif dialogue.tls:
        dialogue.refuse(verb, replies.TLS_ACTIVE)
    elif not dialogue.offers.starttls:
        dialogue.refuse(verb, replies.NOT_IMPLEMENTED)
    elif dialogue.reader.pending:
        # RFC 3207 4: the last command of a group. What follows it was sent in the clear, perhaps by somebody else (F34).
        dialogue.end_with(replies.TLS_INJECTION)
    else:
        dialogue.ask(StartTls())


def on_quit(dialogue: ServerDialogue, verb: bytes, argument: bytes) -> None:
    if argument:
        dialogue.refuse(verb, replies.NO_ARGUMENTS)
        return
    dialogue.say(replies.QUIT_OK)
    dialogue.end_session()
    dialogue.queue.append(Quit())


Handler = Callable[["ServerDialogue", bytes, bytes], None]
ACTIONS: Final[dict[str, Handler]] = {
    "ehlo": on_helo,
    "helo": on_helo,
    "lhlo": on_helo,
    "mail": on_mail,
    "rcpt": on_rcpt,
    "data": on_data,
    "bdat": on_bdat,
    "skip": on_skip,
    "rset": on_rset,
    "noop": on_noop,
    "vrfy": on_vrfy,
    "help": on_help,
    "starttls": on_starttls,
    "quit": on_quit,
}
