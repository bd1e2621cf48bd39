"""Server decisions: what follows when the role has decided a request of the server dialogue, by the kind of the request.

Each is a function of a ServerDialogue (smx.smtp.server). A refusal leaves the state as it was (RFC 5321 4.1.4), unless the tables of `states` say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.smtp import replies, states
from smx.smtp import server_content as content
from smx.smtp.data import DataReader
from smx.smtp.extensions import NO_OFFERS, keyword_lines
from smx.smtp.reception import Reception
from smx.smtp.reply import Reply
from smx.smtp.requests import ContentBegin, ContentEnd, Helo, Mail, Rcpt, Request, StartTls
from smx.smtp.settings import offered

if TYPE_CHECKING:
    from smx.smtp.server import ServerDialogue


def _answered_helo(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    assert isinstance(request, Helo)
    if not reply.positive:
        _refused(dialogue, reply)
        return
    dialogue.reset_transaction()
    dialogue.helo_name = request.name
    dialogue.extended = request.extended
    dialogue.offers = offered(dialogue.settings, tls=dialogue.tls) if dialogue.extended else NO_OFFERS
    dialogue.state = states.ACCEPTED["helo"]
    lines = (b"%b %b" % (dialogue.settings.hostname, reply.lines[0]), *reply.lines[1:])
    dialogue.say(Reply(reply.code, None, lines + keyword_lines(dialogue.offers) if dialogue.extended else lines))


def _answered_mail(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    assert isinstance(request, Mail)
    if not reply.positive:
        _refused(dialogue, reply)
        return
    dialogue.state = states.ACCEPTED["mail"]
    dialogue.smtputf8 = request.smtputf8
    dialogue.recipients = 0
    dialogue.role_open = True
    dialogue.say(reply)


def _answered_rcpt(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    if not reply.positive:
        _refused(dialogue, reply)
        return
    dialogue.state = states.ACCEPTED["rcpt"]
    dialogue.recipients += 1
    dialogue.say(reply)


def _answered_begin(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    assert isinstance(request, ContentBegin)
    assert not reply.positive, "354 begins the content"
    if request.chunked:
        chunk = dialogue.chunk
        assert chunk is not None
        if reply.intermediate:
            dialogue.reception = Reception(dialogue.settings)
            content.begin_chunk(dialogue, chunk)
        else:
            content.skip_chunk(dialogue, chunk, reply)
            chunk.state_after = states.REFUSED["bdat"]
    elif reply.intermediate:
        dialogue.reception = Reception(dialogue.settings)
        dialogue.data = DataReader()
        dialogue.state = states.ACCEPTED["data"]
        dialogue.say(reply)
    else:
        _refused(dialogue, reply)


def _answered_end(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    recipients = dialogue.recipients
    dialogue.end_transaction(accepted=reply.positive)
    content.say_final(dialogue, reply, recipients)


def _answered_starttls(dialogue: ServerDialogue, request: Request, reply: Reply) -> None:
    if not reply.positive:
        _refused(dialogue, reply)
    elif dialogue.reader.pending:
        dialogue.end_with(replies.TLS_INJECTION)  # it came while the role decided (F34)
    else:
        dialogue.say(reply)
        dialogue.state = states.ACCEPTED["starttls"]


def _refused(dialogue: ServerDialogue, reply: Reply) -> None:
    dialogue.say(reply)
    dialogue.bear(dialogue.conduct.refusal(reply))


Answered = Callable[["ServerDialogue", Request, Reply], None]
ANSWERED: Final[dict[type[Request], Answered]] = {
    Helo: _answered_helo,
    Mail: _answered_mail,
    Rcpt: _answered_rcpt,
    ContentBegin: _answered_begin,
    ContentEnd: _answered_end,
    StartTls: _answered_starttls,
}
ACCEPTED: Final[dict[type[Request], Reply]] = {
    Helo: replies.HELO_OK,
    Mail: replies.MAIL_OK,
    Rcpt: replies.RCPT_OK,
    ContentBegin: replies.DATA_GO,
    ContentEnd: replies.CONTENT_OK,
    StartTls: replies.STARTTLS_GO,
}
