"""Client replies: what the client dialogue does with each reply, by the actions that the table states.CLIENT names.

Each is a function of a ClientDialogue (smx.smtp.client) with the reply and the index of the recipient that it is for, ALL for one that concerns them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx import limits
from smx.messages import Outcome
from smx.smtp.data import DotStuffer
from smx.smtp.extensions import NO_OFFERS, offers_of
from smx.smtp.plan import (
    STAGE_DATA,
    STAGE_END,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_TLS,
    TLS_MANDATORY,
    TLS_NONE,
    TlsWanted,
)
from smx.smtp.reply import Reply
from smx.smtp.stages import STAGES
from smx.smtp.states import Stage
from smx.smtp.verdicts import enhanced_of, outcome_of, too_many_recipients

if TYPE_CHECKING:
    from smx.smtp.client import ClientDialogue

ALL: Final = -1  # the index of a reply that concerns every recipient


def _say_ehlo(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.say_hello()


def _say_helo(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """RFC 5321 3.2: an old server does not know EHLO. Not in LMTP, and not where TLS is needed, which HELO cannot have."""
    if dialogue.settings.lmtp or (dialogue.settings.tls == TLS_MANDATORY and not dialogue.tls):
        dialogue.expected.appendleft((Stage.EHLO, ALL))
        _give_up(dialogue, reply, index)
    else:
        dialogue.command(b"HELO %b\r\n" % dialogue.settings.hostname, Stage.HELO)


def _take_offers(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.offers = offers_of(reply.lines)
    wanted = dialogue.settings.tls
    if wanted == TLS_NONE or dialogue.tls:
        dialogue.session_ready()
    elif dialogue.offers.starttls:
        dialogue.command(b"STARTTLS\r\n", Stage.STARTTLS)
    elif wanted == TLS_MANDATORY:
        _quit_without_tls(dialogue, b"the server does not offer STARTTLS")
    else:
        dialogue.session_ready()


def _take_none(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.offers = NO_OFFERS
    dialogue.session_ready()


def _want_tls(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.handshaking = True
    if dialogue.parser.pending:
        dialogue.break_off(b"the server sent plaintext behind its reply to STARTTLS")  # reply injection, F34
    else:
        dialogue.events.append(TlsWanted())


def _without_tls(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    if dialogue.settings.tls == TLS_MANDATORY:
        _quit_without_tls(dialogue, b"the server refused STARTTLS: " + reply.text)
    else:
        dialogue.session_ready()


def _quit_without_tls(dialogue: ClientDialogue, text: bytes) -> None:
    dialogue.give_up_with(Outcome.DEFERRED, 0, b"4.7.4", text, STAGE_TLS)


def _on_accepted(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """MAIL (index ALL) or RCPT was accepted. RCPT after a refused MAIL counts for nothing."""
    if index == ALL:
        dialogue.dirty = True
    elif not dialogue.mail_refused:
        dialogue.accepted.append(index)


def _on_mail_refused(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.mail_refused = True
    dialogue.dirty = True  # RFC 1870 6.2: RSET or QUIT comes next
    dialogue.todo.clear()
    dialogue.verdicts.decide_all(outcome_of(reply), reply.code, enhanced_of(reply), reply.text, STAGE_MAIL)


def _on_rcpt_refused(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    if dialogue.verdicts.has(index):
        return  # MAIL was refused
    outcome = Outcome.DEFERRED if too_many_recipients(reply, some_accepted=bool(dialogue.accepted)) else outcome_of(reply)
    dialogue.verdicts.decide(index, outcome, reply.code, enhanced_of(reply), reply.text, STAGE_RCPT)


def _on_go_ahead(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """354."""
    assert dialogue.transaction is not None
    if dialogue.accepted:
        dialogue.stuffer = DotStuffer(dot_lines=dialogue.transaction.dot_lines)
        dialogue.want_content(dialogue.transaction)
    elif dialogue.settings.lmtp:
        dialogue.break_off(b"354 without a recipient")  # RFC 2033 4.2 forbids it, and nobody knows how many replies would follow
    else:
        # RFC 2920 3.1: a lone dot; 3.2: the server sends nothing to anybody then.
        dialogue.command(b".\r\n", Stage.DISCARD)


def _on_data_refused(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.verdicts.decide_all(outcome_of(reply), reply.code, enhanced_of(reply), reply.text, STAGE_DATA)


def _on_cut_short(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """The server refused in the middle of the content. There is no way to end it but to close."""
    dialogue.verdicts.decide_all(outcome_of(reply), reply.code, enhanced_of(reply), reply.text, STAGE_DATA)
    dialogue.close_with(reply)


def _on_delivered(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    # RFC 3461 5.2.2: an SMTP server without DSN does not take over the duty to notify.
    outcome = Outcome.DELIVERED if dialogue.settings.lmtp or dialogue.offers.dsn else Outcome.RELAYED
    _on_end(dialogue, outcome, reply, index)


def _on_end_refused(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    _on_end(dialogue, outcome_of(reply), reply, index)
    if dialogue.stuffer is None:
        dialogue.dirty = True  # RFC 3030 2: RSET comes next after a BDAT that failed


def _on_end(dialogue: ClientDialogue, outcome: Outcome, reply: Reply, index: int) -> None:
    if index == ALL:
        dialogue.verdicts.decide_all(outcome, reply.code, enhanced_of(reply), reply.text, STAGE_END)
    else:
        dialogue.verdicts.decide(index, outcome, reply.code, enhanced_of(reply), reply.text, STAGE_END)


def _go_on(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """Nothing depends on this reply."""


def _give_up(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """The server wants no mail from us now: every recipient gets its reply, then QUIT."""
    dialogue.give_up_with(outcome_of(reply), reply.code, enhanced_of(reply), reply.text, STAGES[dialogue.stage])


def _on_rset_refused(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """RFC 5321 4.1.1.5 knows no refusal of RSET. Nothing of the message was judged: it waits for another session."""
    text = b"RSET was refused: %d " % reply.code + reply.text
    dialogue.give_up_with(Outcome.DEFERRED, 0, b"4.5.0", text[: limits.REPLY_TEXT_OCTETS_MAX], STAGE_MAIL)


def _on_broken(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    dialogue.break_off(b"unexpected reply: %d " % reply.code + reply.text)


def _on_closed(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """421: the server closes (RFC 5321 3.8)."""
    dialogue.verdicts.decide_all(Outcome.DEFERRED, reply.code, enhanced_of(reply), reply.text, STAGES[dialogue.stage])
    dialogue.close_with(reply)


def _on_over(dialogue: ClientDialogue, reply: Reply, index: int) -> None:
    """QUIT was answered, no matter how."""
    dialogue.close_with(reply)


Handler = Callable[["ClientDialogue", Reply, int], None]
ON_REPLY: Final[dict[str, Handler]] = {
    "say_ehlo": _say_ehlo,
    "take_offers": _take_offers,
    "say_helo": _say_helo,
    "take_none": _take_none,
    "want_tls": _want_tls,
    "without_tls": _without_tls,
    "give_up": _give_up,
    "accepted": _on_accepted,
    "mail_refused": _on_mail_refused,
    "rcpt_refused": _on_rcpt_refused,
    "go_ahead": _on_go_ahead,
    "data_refused": _on_data_refused,
    "cut_short": _on_cut_short,
    "delivered": _on_delivered,
    "end_refused": _on_end_refused,
    "go_on": _go_on,
    "rset_refused": _on_rset_refused,
    "broken": _on_broken,
    "closed": _on_closed,
    "over": _on_over,
}
