"""Computes the advice of `usaggr advise`: for each task of a data set, from the evidence of finished sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from usaggr.advice.evidence import EvidenceCell, SweepEvidence
from usaggr.advice.new_data import NewData
from usaggr.advice.rule import WayAnswer, answer
from usaggr.advice.scale_steps import Step, find_steps
from usaggr.advice.sharing_modes import NewTask, find_counterparts, find_partners, is_rule
from usaggr.advice.undecided import Undecided, find_undecided

Kind = Literal["share", "may share", "do not share", "undecided", "not known"]
KINDS: tuple[Kind, ...] = ("share", "may share", "do not share", "undecided", "not known")


@dataclass(frozen=True)
class WayAdvice:
    """Advice on one way of sharing for one task."""

    answer: WayAnswer
    shares_with: tuple[str, ...]
    """Tasks of the new data that would be in the same block."""
    steps: tuple[Step, ...]
    """Verdicts by number of training samples; empty if the sweeps show no change."""


@dataclass(frozen=True)
class TaskAdvice:
    """Advice for one task, with all its evidence."""

    new: NewTask
    kind: Kind
    best: WayAdvice | None
    """Recommended way of sharing (for share and may share); otherwise None."""
    ways: tuple[WayAdvice, ...]
    """Every way under which the task would share a model."""
    alone: tuple[str, ...]
    """Ways under which no other task of the data would share its model."""


@dataclass(frozen=True)
class Advice:
    """Advice for a data set."""

    data: NewData
    sweeps: tuple[SweepEvidence, ...]
    tasks: tuple[TaskAdvice, ...]
    undecided: tuple[Undecided, ...]
    """Undecided cells of the sweeps that concern these tasks, sorted by the number of seeds needed."""


def advise(data: NewData, sweeps: Sequence[SweepEvidence]) -> Advice:
    """Apply the rule (rule.py) to each task and each way of sharing in the sweeps."""
    cells = [cell for sweep in sweeps for cell in sweep.cells]
    ways = tuple(dict.fromkeys(cell.way for cell in cells))
    tasks = tuple(_advise_on_task(new, ways, cells, data) for new in data.tasks)
    return Advice(data, tuple(sweeps), tasks, tuple(find_undecided(tasks_with_ways(tasks), sweeps)))


def tasks_with_ways(tasks: Sequence[TaskAdvice]) -> list[tuple[NewTask, frozenset[str]]]:
    """Return each task with the ways under which it would share a model."""
    return [(task.new, frozenset(way.answer.way for way in task.ways)) for task in tasks]


def _advise_on_task(new: NewTask, ways: Sequence[str], cells: Sequence[EvidenceCell], data: NewData) -> TaskAdvice:
    shared: list[WayAdvice] = []
    alone: list[str] = []
    for way in ways:
        way_answer = answer(new, way, cells)
        if is_rule(way):
            partners = find_partners(way, new, data.tasks)
            is_alone = not partners
        else:
            members = {member for cell in way_answer.cells for member in cell.shares_with}
            partners = find_counterparts(new, members, data.tasks)
            # Without cells the blocks are unknown: the answer then states why, and the task need not be alone.
            is_alone = bool(way_answer.cells) and not partners
        if is_alone:
            alone.append(way)
        else:
            shared.append(WayAdvice(way_answer, partners, find_steps(new, way, cells)))
    kind, best = _choose(shared)
    return TaskAdvice(new, kind, best, tuple(shared), tuple(alone))


def _choose(ways: Sequence[WayAdvice]) -> tuple[Kind, WayAdvice | None]:
    """Return the advice and the recommended way, by the same order as the report: gain first, then no loss.

    The advice is not to share only if every way loses, because a way without a verdict may be the better one.
    """
    gains = [way for way in ways if way.answer.verdict == "gain"]
    if gains:
        return "share", max(gains, key=_mean)
    harmless = [way for way in ways if way.answer.verdict == "no_loss"]
    if harmless:
        # The largest block saves the most models.
        return "may share", max(harmless, key=lambda way: (len(way.shares_with), _mean(way)))
    if ways and all(way.answer.verdict == "loss" for way in ways):
        return "do not share", None
    if any(way.answer.verdict == "undecided" for way in ways):
        return "undecided", None
    return "not known", None


def _mean(way: WayAdvice) -> float:
    return way.answer.prediction.mean if way.answer.prediction is not None else float("-inf")


def without_task(sweep: SweepEvidence, task_id: str) -> SweepEvidence:
    """Return the evidence without one task, to test how well the other tasks predict it."""
    return replace(sweep, cells=tuple(cell for cell in sweep.cells if cell.task.id != task_id))
