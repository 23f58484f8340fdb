"""Advice for a data set from the evidence of finished sweeps, task by task: what `usaggr advise` says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from usaggr.advice.evidence import EvidenceCell, SweepEvidence
from usaggr.advice.new_data import NewData
from usaggr.advice.rule import WayAnswer, answer
from usaggr.advice.scale_steps import Step, steps
from usaggr.advice.sharing_modes import NewTask, counterparts, is_rule, partners
from usaggr.advice.undecided import Undecided, undecided

Kind = Literal["share", "may share", "do not share", "undecided", "not known"]
KINDS: tuple[Kind, ...] = ("share", "may share", "do not share", "undecided", "not known")


@dataclass(frozen=True)
class WayAdvice:
    """One way of sharing for one task."""

    answer: WayAnswer
    shares_with: tuple[str, ...]
    """Tasks of the new data that would be in its block."""
    steps: tuple[Step, ...]
    """How the verdict changes with the number of training samples; empty where the sweeps do not show it."""


@dataclass(frozen=True)
class TaskAdvice:
    """What to do for one task, and all that it rests on."""

    new: NewTask
    kind: Kind
    best: WayAdvice | None
    """The way that is advised (share, may share); None otherwise."""
    ways: tuple[WayAdvice, ...]
    alone: tuple[str, ...]
    """Ways under which no other task of the data would share its model."""


@dataclass(frozen=True)
class Advice:
    """For a whole data set."""

    data: NewData
    sweeps: tuple[SweepEvidence, ...]
    tasks: tuple[TaskAdvice, ...]
    undecided: tuple[Undecided, ...]
    """Cells of the sweeps that speak of these tasks, those that need the fewest seeds first."""


def advise(data: NewData, sweeps: Sequence[SweepEvidence]) -> Advice:
    """Apply the rule (rule.py) to each task and each way of sharing that the sweeps have trained."""
    cells = [cell for sweep in sweeps for cell in sweep.cells]
    ways = tuple(dict.fromkeys(cell.way for cell in cells))
    tasks = tuple(_task(new, ways, cells, data) for new in data.tasks)
    return Advice(data, tuple(sweeps), tasks, tuple(undecided(tasks_with_ways(tasks), sweeps)))


def tasks_with_ways(tasks: Sequence[TaskAdvice]) -> list[tuple[NewTask, frozenset[str]]]:
    """Each task with the ways under which it would share a model."""
    return [(task.new, frozenset(way.answer.way for way in task.ways)) for task in tasks]


def _task(new: NewTask, ways: Sequence[str], cells: Sequence[EvidenceCell], data: NewData) -> TaskAdvice:
    found: list[WayAdvice] = []
    alone: list[str] = []
    for way in ways:
        said = answer(new, way, cells)
        if is_rule(way):
            others = partners(way, new, data.tasks)
            if not others:
                alone.append(way)
                continue
        else:
            members = {member for cell in said.cells for member in cell.shares_with}
            others = counterparts(new, members, data.tasks)
            if said.cells and not others:
                alone.append(way)
                continue
        found.append(WayAdvice(said, others, steps(new, way, cells)))
    kind, best = _choose(found)
    return TaskAdvice(new, kind, best, tuple(found), tuple(alone))


def _choose(ways: Sequence[WayAdvice]) -> tuple[Kind, WayAdvice | None]:
    """As the report recommends: a gain wins, then a shared model that costs nothing, as it saves models.

    Only where every way loses is the advice not to share; what is not known of one way may be the better one.
    """
    gains = [way for way in ways if way.answer.verdict == "gain"]
    if gains:
        return "share", max(gains, key=_mean)
    harmless = [way for way in ways if way.answer.verdict == "no_loss"]
    if harmless:
        return "may share", max(harmless, key=lambda way: (len(way.shares_with), _mean(way)))
    if ways and all(way.answer.verdict == "loss" for way in ways):
        return "do not share", None
    if any(way.answer.verdict == "undecided" for way in ways):
        return "undecided", None
    return "not known", None


def _mean(way: WayAdvice) -> float:
    return way.answer.prediction.mean if way.answer.prediction is not None else float("-inf")


def without_task(sweep: SweepEvidence, task_id: str) -> SweepEvidence:
    """The evidence as if a task had not been in the sweep: to see how well the others predict it."""
    return replace(sweep, cells=tuple(cell for cell in sweep.cells if cell.task.id != task_id))
