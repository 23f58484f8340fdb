"""The states of jobs from squeue and sacct, and the states that hold while Slurm does not answer."""

from collections.abc import Sequence

from usaggr.sweep.executors.slurm.queue import QueuedJob, SlurmQueue


class Answers:
    """A replacement for Slurm's commands, with one prepared output per call."""

    def __init__(self, *outputs: str | None) -> None:
        self.outputs = list(outputs)
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> str | None:
        self.commands.append(list(command))
        return self.outputs.pop(0)


def test_one_call_covers_all_jobs_and_is_not_repeated_immediately() -> None:
    slurm = Answers("7_0|RUNNING|None\n7_1|PENDING|Priority\n")
    queue = SlurmQueue(slurm, seconds=60)
    queue.refresh(["7_0", "7_1", "7_2", "9"])
    assert slurm.commands == [["squeue", "--noheader", "--array", "--format=%i|%T|%r", "--jobs=7,9"]]
    assert [queue.is_live(job) for job in ("7_0", "7_1", "7_2", "9")] == [True, True, False, False]
    assert queue.get_job("7_1") == QueuedJob("PENDING", "Priority")
    assert len(slurm.commands) == 1


def test_a_new_job_is_looked_up_immediately_and_a_lost_one_no_more() -> None:
    slurm = Answers("", "8|PENDING|None\n", "")
    queue = SlurmQueue(slurm, seconds=60)
    assert not queue.is_live("7")
    assert queue.is_live("8")
    assert slurm.commands[1][-1] == "--jobs=8"
    queue = SlurmQueue(Answers("8|RUNNING|None\n", ""), seconds=0)
    assert queue.is_live("8")
    assert not queue.is_live("8")


def test_while_slurm_does_not_answer_the_last_answer_holds_and_unknown_jobs_count_as_live() -> None:
    queue = SlurmQueue(Answers("7|RUNNING|None\n", None, None, ""), seconds=0)
    assert queue.is_live("7")
    assert queue.is_live("7")
    assert not queue.is_answering
    assert queue.is_live("8")
    assert not queue.is_live("7")
    assert queue.is_answering


def test_accounting_gives_the_end_of_jobs_including_those_that_never_started() -> None:
    outputs = "7_0|COMPLETED\n7_1|CANCELLED by 0\n7_2|RUNNING\n8_[0-3]|CANCELLED by 5\n"
    ends = SlurmQueue(Answers(outputs)).read_end_states(["7_0", "7_1", "7_2", "8_2", "9"])
    assert ends == {"7_0": "COMPLETED", "7_1": "CANCELLED", "8_2": "CANCELLED"}
    assert SlurmQueue(Answers(None)).read_end_states(["7"]) == {}
