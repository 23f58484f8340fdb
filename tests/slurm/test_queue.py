"""What squeue and sacct say, and what holds while they say nothing."""

from collections.abc import Sequence

from usaggr.sweep.executors.slurm.queue import QueuedJob, SlurmQueue


class Answers:
    """Instead of Slurm's commands."""

    def __init__(self, *said: str | None) -> None:
        self.said = list(said)
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> str | None:
        self.commands.append(list(command))
        return self.said.pop(0)


def test_one_call_asks_about_all_jobs_and_is_not_repeated_at_once() -> None:
    slurm = Answers("7_0|RUNNING|None\n7_1|PENDING|Priority\n")
    queue = SlurmQueue(slurm, seconds=60)
    queue.look(["7_0", "7_1", "7_2", "9"])
    assert slurm.commands == [["squeue", "--noheader", "--array", "--format=%i|%T|%r", "--jobs=7,9"]]
    assert [queue.lives(job) for job in ("7_0", "7_1", "7_2", "9")] == [True, True, False, False]
    assert queue.found("7_1") == QueuedJob("PENDING", "Priority")
    assert len(slurm.commands) == 1


def test_a_job_that_is_new_is_asked_about_at_once_and_one_that_is_gone_no_more() -> None:
    slurm = Answers("", "8|PENDING|None\n", "")
    queue = SlurmQueue(slurm, seconds=60)
    assert not queue.lives("7")
    assert queue.lives("8")
    assert slurm.commands[1][-1] == "--jobs=8"
    queue = SlurmQueue(Answers("8|RUNNING|None\n", ""), seconds=0)
    assert queue.lives("8")
    assert not queue.lives("8")


def test_while_slurm_does_not_answer_what_it_said_holds_and_unknown_jobs_are_taken_to_live() -> None:
    queue = SlurmQueue(Answers("7|RUNNING|None\n", None, None, ""), seconds=0)
    assert queue.lives("7")
    assert queue.lives("7")
    assert not queue.answers
    assert queue.lives("8")
    assert not queue.lives("7")
    assert queue.answers


def test_accounting_tells_how_jobs_ended_also_those_that_never_began() -> None:
    said = "7_0|COMPLETED\n7_1|CANCELLED by 0\n7_2|RUNNING\n8_[0-3]|CANCELLED by 5\n"
    found = SlurmQueue(Answers(said)).ended(["7_0", "7_1", "7_2", "8_2", "9"])
    assert found == {"7_0": "COMPLETED", "7_1": "CANCELLED", "8_2": "CANCELLED"}
    assert SlurmQueue(Answers(None)).ended(["7"]) == {}
