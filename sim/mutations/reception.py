"""Mutations of reception: the dialogue with clients, what they are told, and when (A9, A11, I3, I12, I13, I16)."""

from typing import Any

from sim.mutations.mutation import mutation
from smx.messages import Aborted
from smx.smtp.lines import LineReader
from smx.smtp.reply import Reply
from smx.smtps.transaction import Act, Fact, Stage


@mutation("replies-swapped", "I12", "smx.smtp.server:ServerDialogue.say", scene="plain", checker="I12")
def _replies_swapped(original: Any) -> Any:
    """When several replies are due, the last one goes first."""

    def say(self: Any, reply: Any) -> None:
        before = bytes(self._output)
        self._output.clear()
        original(self, reply)
        self._output += before

    return say


@mutation("pipelined-reply-dropped", "I12", "smx.smtp.server:ServerDialogue.say", scene="plain", checker="I12")
def _pipelined_reply_dropped(original: Any) -> Any:
    """Of several replies that are due at once, the second one gets lost."""

    def say(self: Any, reply: Any) -> None:
        if not self._output or reply.code == 354:
            original(self, reply)

    return say


@mutation("reply-to-the-dot-first", "I12", "smx.smtp.server_content:_take", scene="plain", checker="I12")
def _reply_to_the_dot_first(original: Any) -> Any:
    """The content is answered when its first octets have come."""

    def take(dialogue: Any, octets: bytes, *, dots: bool = True) -> None:
        if octets and not getattr(dialogue.reception, "octets", 0):
            dialogue.say(Reply(250, (2, 0, 0), (b"Ok",)))
        original(dialogue, octets, dots=dots)

    return take


@mutation("end-of-data-at-lf-lf", "I13 I3", "smx.smtp.data:DataReader.feed", scene="dots-in-pieces", checker="I13")
def _end_of_data_at_lf_lf(original: Any) -> Any:
    """A dot between bare LFs ends the content, too."""

    tails: dict[int, bytes] = {}  # of each reader: the last two octets

    def feed(self: Any, octets: bytes) -> bytes:
        tail = tails.get(id(self), b"")
        before, found, behind = (tail + octets).partition(b"\n.\n")
        tails[id(self)] = (tail + octets)[-2:]
        if found:
            octets = before[len(tail) :] + b"\r\n.\r\n" + behind
        content: bytes = original(self, octets)
        return content

    return feed


@mutation("end-of-data-at-cr-lf-dot", "I13", "smx.smtp.data:_END", scene="dots-in-pieces", checker="I13")
def _end_of_data_at_cr_lf_dot(original: Any) -> Any:
    """A dot at the beginning of a line ends the content, whatever follows it."""
    return b"\r\n."


@mutation("recipient-dropped", "I1 I4", "smx.smtps.service:Service._add_recipient", scene="plain", checker="I1")
def _recipient_dropped(original: Any) -> Any:
    """The third recipient of a message is accepted, and does not come into its envelope."""

    def add_recipient(self: Any, session: Any, request: Any, now: int) -> None:
        if len(session.transaction.recipients) == 2:
            session.dialogue.accept()
        else:
            original(self, session, request, now)

    return add_recipient


@mutation("recipient-confused", "I4", "smx.smtps.recipients:Recipients.address_of", scene="plain", checker="I4")
def _recipient_confused(original: Any) -> Any:
    """Mail for bob goes to carol."""

    def address_of(self: Any, request: Any) -> bytes:
        found: bytes = original(self, request)
        return b"carol@lab.example" if found == b"bob@lab.example" else found

    return address_of


@mutation("reply-before-submission", "I2 A1", "smx.smtps.submission:Submissions._submit", scene="plain", checker="I2")
def _reply_before_submission(original: Any) -> Any:
    """250 is said when QMGR was told of the message, and its answer is not awaited."""

    def submit(self: Any, transaction: Any, now: int) -> None:
        original(self, transaction, now)
        transaction.durable = True
        self._acknowledge(transaction, Fact.TAKEN, now)

    return submit


@mutation("aborted-not-awaited", "A9 I3", "smx.smtps.transaction:TABLE[Stage.SUBMITTED]", scene="qmgr-pauses", checker="I3")
def _aborted_not_awaited(original: Any) -> Any:
    """When QMGR is silent for too long the client gets 451 at once, although QMGR may have stored the message."""
    return {**original, Fact.IMPATIENT: (Stage.DONE, Act.REFUSE)}


@mutation("abort-forgets-what-is-stored", "A9 I3", "smx.qmgr.submission:Submission.abort", scene="disk-stalls", checker="I3")
def _abort_forgets_what_is_stored(original: Any) -> Any:
    """QMGR says that it keeps nothing of a message that it has written, and delivers it."""

    def abort(self: Any, process: str, number: int) -> None:
        self._hub.tell(process, Aborted(number))

    return abort


@mutation("answer-although-qmgr-is-gone", "A9 I2", "smx.smtps.transaction:TABLE[Stage.SUBMITTED]", scene="kill-behind-submitted", checker="I2")
def _answer_although_qmgr_is_gone(original: Any) -> Any:
    """When the link to QMGR breaks, what was submitted gets its 250."""
    return {**original, Fact.UNLINKED: (Stage.DONE, Act.ACCEPT)}


@mutation("refused-although-qmgr-is-gone", "A9 I3", "smx.smtps.submission:SHUTTING_DOWN", scene="kill-behind-submitted", checker="I12")
def _refused_although_qmgr_is_gone(original: Any) -> Any:
    """When the link to QMGR breaks, what was submitted is refused for good, although nobody knows what became of it."""
    return Reply(554, (5, 3, 0), (b"Lost",))


@mutation("block-granted-twice", "A11 I8", "smx.qmgr.links:Links._next_block", scene="two-servers", checker="I8")
def _block_granted_twice(original: Any) -> Any:
    """Every SMTPS gets the same block of ids."""

    def next_block(self: Any) -> int:
        self._block = 1
        return 1

    return next_block


@mutation("id-used-again", "A11 I8", "smx.smtps.admission:Gate.next_id", scene="plain", checker="I8")
def _id_used_again(original: Any) -> Any:
    """Four messages in a row get the same id."""

    def next_id(self: Any) -> int | None:
        found: int | None = original(self)
        return None if found is None else found // 4 * 4

    return next_id


@mutation("session-limit-ignored", "I16", "smx.smtps.service:Service._decide_opening", scene="flood", checker="I16")
def _session_limit_ignored(original: Any) -> Any:
    """sessions_max is not obeyed."""

    def decide_opening(self: Any, session: Any, request: Any, now: int) -> Any:
        self.sessions_max = 1 << 30
        return original(self, session, request, now)

    return decide_opening


@mutation("buffer-kept-at-starttls", "I12 I13", "smx.smtp.server_commands:on_starttls", scene="tricksters", checker="I12")
def _buffer_kept_at_starttls(original: Any) -> Any:
    """What came in the clear behind STARTTLS is served behind the handshake."""

    def on_starttls(dialogue: Any, verb: bytes, argument: bytes) -> None:
        class Keeping(LineReader):
            pending = 0  # nobody sees what is in it

            def clear(self) -> None:
                """Nothing is forgotten."""

        rest = dialogue.reader.take_all()
        original(dialogue, verb, argument)
        if rest and dialogue.pending is not None:
            dialogue.reader = Keeping(512)
            dialogue.reader.feed(rest)

    return on_starttls


@mutation("memory-bound-ignored", "I16", "smx.smtps.content:Intake._stream", scene="narrow-memory", checker="I16")
def _memory_bound_ignored(original: Any) -> Any:
    """Large content stays in memory until it is complete, however much there is of it."""
    return lambda self, transaction: True
