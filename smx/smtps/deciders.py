"""Deciders: who has a say before a request of the client is granted.

Each kind of request has a tuple of deciders, asked in order. A decider gives None (no objection), a Reply (a refusal, or another
reply in place of the usual one), or WAIT: it asked somebody and calls `Courses.resume` when the answer is there. Only when all
agree is the request granted. Authentication, filters and policy services join as further deciders; nothing else changes.

The course of a session's request is kept in the session: `request` and `turn`, the number of deciders that have spoken.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from smx.smtp.reply import Reply
from smx.smtp.requests import ContentBegin, ContentEnd, Helo, Mail, Rcpt, StartTls
from smx.smtps.session import Session


class Opening(msgspec.Struct, frozen=True, gc=False):
    """The request that a new connection is: the greeting is its reply."""


class Wait(Enum):
    """The third answer of a decider."""

    WAIT = 1


WAIT: Final = Wait.WAIT
Decidable = Opening | Helo | Mail | Rcpt | ContentBegin | ContentEnd | StartTls
Decider = Callable[[Session, Decidable, int], Reply | Wait | None]
Panel = Mapping[type[Decidable], tuple[Decider, ...]]


class Courses:
    """Leads each request through its deciders.

    `grant` is called when all agreed; `refuse` with the reply of the first that did not. Both answer the dialogue.
    `proceed` is called after a resumed course has ended: what the client sent behind the request can go on.
    """

    def __init__(
        self,
        panel: Panel,
        grant: Callable[[Session, Decidable, int], None],
        refuse: Callable[[Session, Decidable, Reply, int], None],
        proceed: Callable[[Session, int], None],
    ) -> None:
        self._panel: Final = panel
        self._grant: Final = grant
        self._refuse: Final = refuse
        self._proceed: Final = proceed

    def begin(self, session: Session, request: Decidable, now: int) -> None:
        """A request came from the dialogue. After this it is granted, refused, or waits."""
        deciders = self._panel[type(request)]
        for turn, decider in enumerate(deciders, 1):
            said = decider(session, request, now)
            if said is WAIT:
                session.request, session.turn = request, turn
                return
            if said is not None:
                assert isinstance(said, Reply)
                self._refuse(session, request, said, now)
                return
        self._grant(session, request, now)

    def resume(self, session: Session, said: Reply | None, now: int) -> None:
        """The decider that waited has made up its mind. A session that ended meanwhile has no request any more."""
        request = session.request
        if request is None:
            return
        assert isinstance(request, Decidable)
        for turn in range(session.turn, len(self._panel[type(request)])):
            if said is not None:
                break
            answer = self._panel[type(request)][turn](session, request, now)
            if answer is WAIT:
                session.turn = turn + 1
                return
            assert answer is None or isinstance(answer, Reply)
            said = answer
        session.request = None
        if said is None:
            self._grant(session, request, now)
        else:
            self._refuse(session, request, said, now)
        self._proceed(session, now)
