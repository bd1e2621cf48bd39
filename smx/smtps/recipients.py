"""Recipients: the decider for RCPT. It asks SMAR once for each recipient, and nobody else (architecture 2).

What SMAR said to be true for a whole domain is remembered, so that the next recipient there costs no question.
"""

from collections.abc import Callable
from typing import Final

from smx.effects import AnyEffect, Tell
from smx.messages import CheckRecipient, RecipientChecked
from smx.smtp.replies import RESOLVER_BUSY
from smx.smtp.reply import Reply, clean, split_enhanced
from smx.smtp.requests import Rcpt
from smx.smtps.deciders import WAIT, Decidable, Wait
from smx.smtps.patience import Patience
from smx.smtps.session import Session
from smx.units import SECOND

TIMER: Final = "resolver"
PATIENCE_US: Final = 30 * SECOND  # SMAR gives up on the DNS much earlier
DOMAINS_MAX: Final = 20_000  # that are remembered


class Recipients:
    """At most one question a session is outstanding, so all of them are bounded by sessions_max (I16)."""

    def __init__(self, emit: Callable[[AnyEffect], None], server: str, hostname: bytes) -> None:
        self._emit: Final = emit
        self._server: Final = server
        self._hostname: Final = hostname
        self._patience: Final = Patience(emit, TIMER, PATIENCE_US)
        self._asked: Final[dict[int, Session]] = {}
        self._valid: Final[dict[tuple[bytes, bool], int]] = {}  # domain, may_relay: all recipients there are valid until this time
        self._request = 0
        self.linked = False
        self.resume: Callable[[Session, Reply | None, int], None] = _unbound

    def address_of(self, request: Rcpt) -> bytes:
        """The recipient's address. `<Postmaster>` is ours (RFC 5321 4.5.1)."""
        path = request.forward_path
        return path.address if path.domain else b"%b@%b" % (path.local_part, self._hostname)

    def decide(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        """The decider."""
        assert isinstance(request, Rcpt)
        transaction = session.transaction
        assert transaction is not None
        if not self.linked:
            return RESOLVER_BUSY
        address = self.address_of(request)
        if self._valid and self._valid.get((address[address.rfind(b"@") + 1 :], session.may_relay), 0) > now:
            return None
        self._request += 1
        question = self._request
        self._asked[question] = session
        mail = transaction.mail
        asked = CheckRecipient(question, address, mail.reverse_path.address, session.host, session.may_relay, self._server, mail.smtputf8)
        self._emit(Tell("smar", asked))
        self._patience.begin(question, now)
        return WAIT

    def answered(self, answer: RecipientChecked, now: int) -> None:
        """SMAR's answer; one that comes too late is ignored."""
        session = self._asked.pop(answer.request, None)
        if session is None:
            return
        self._patience.end(answer.request)
        if answer.code == 250:
            if answer.cache_until > now:
                self._remember((answer.domain, session.may_relay), answer.cache_until)
            self.resume(session, None, now)
            return
        enhanced, _ = split_enhanced(answer.code, answer.enhanced + b" ")
        self.resume(session, Reply(answer.code, enhanced, (clean(answer.text),)), now)

    def _remember(self, key: tuple[bytes, bool], until: int) -> None:
        if len(self._valid) >= DOMAINS_MAX:
            self._valid.clear()  # rare, and cheaper than an order of use
        self._valid[key] = until

    def forget_answers(self) -> None:
        """The configuration is another one: ask again from now on."""
        self._valid.clear()

    def expired(self, now: int) -> None:
        """SMAR was silent for too long."""
        for question in self._patience.expired(now):
            self.resume(self._asked.pop(question), RESOLVER_BUSY, now)

    def lost(self, now: int) -> None:
        """The link to SMAR is gone, and the answers with it. A new one may have other tables."""
        self.linked = False
        self.forget_answers()
        for question, session in list(self._asked.items()):
            if self._asked.pop(question, None) is not None:
                self._patience.end(question)
                self.resume(session, RESOLVER_BUSY, now)


def _unbound(session: Session, said: Reply | None, now: int) -> None:
    raise AssertionError("no courses")
