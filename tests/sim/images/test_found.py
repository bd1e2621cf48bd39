"""What the search over images found in smx, as transcripts."""

from smx.messages import Content, Envelope, Outcome, Recipient
from smx.qmgr import records
from smx.qmgr.poison import INNOCENT
from smx.qmgr.recovery_fold import Fold
from smx.qmgr.recovery_judge import Todo, judge
from smx.qmgr.recovery_table import ContentSeen

NUMBER = 1 << 40


def test_who_went_to_defedb_and_was_done_with_there_stays_closed_in_the_second_recovery_too() -> None:
    """Log: two recipients; 0 was deferred, moved to DEFEDB, and its row is gone; the verdict that closed it is not in the log any more.

    The first recovery closes 0 and copies the opening. Its copy said CLOSED with the outcome of the deferral: the second one took that for a
    deferral whose row is missing, and stored it again.
    """
    people = (Recipient(0, b"a@example.net"), Recipient(1, b"b@example.net"))
    envelope = Envelope(NUMBER, b"s@example.net", people, Content(1, 64, 10, 0), arrived_at=0)
    fold = Fold()
    fold.apply(1, records.Opened(NUMBER, envelope))
    fold.apply(1, records.VerdictRecord(NUMBER, 0, 1, Outcome.DEFERRED, next_try=5))
    fold.apply(1, records.Moved(NUMBER, ((0, 1),)))
    for _ in range(2):
        fold.finish()
        judgement = judge(NUMBER, fold.transactions[NUMBER], {}, ContentSeen.SOUND, INNOCENT)
        assert judgement.transaction is not None
        assert [recovered.todo for recovered in judgement.transaction.recipients] == [Todo.NONE, Todo.QUEUE]
        fold = Fold()
        for record, _ in judgement.copies:
            fold.apply(2, record)
