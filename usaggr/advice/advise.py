"""Computes the advice of `usaggr advise`: for each task of a data set, from the evidence of finished sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from usaggr.advice.evidence import EvidenceCell, SweepEvidence
from usaggr.advice.new_data import NewData
from usaggr.advice.rule import ModeResult, assess_mode
from usaggr.advice.scale_steps import Step, find_steps
from usaggr.advice.sharing_modes import NewTask, find_counterparts, find_partners, is_rule
from usaggr.advice.undecided import Undecided, find_undecided

Kind = Literal["share", "may share", "do not share", "undecided", "not known"]
KINDS: tuple[Kind, ...] = ("share", "may share", "do not share", "undecided", "not known")


@dataclass(frozen=True)
class ModeAdvice:
    """Advice on one sharing mode for one task."""

    result: ModeResult
    shares_with: tuple[str, ...]
    """Tasks of the new data that would be in the same block."""
    steps: tuple[Step, ...]
    """Verdicts by number of training samples; empty if the sweeps show no change."""


@dataclass(frozen=True)
class TaskAdvice:
    """Advice for one task, with all its evidence."""

    new: NewTask
    kind: Kind
    best: ModeAdvice | None
    """Recommended sharing mode (for share and may share); otherwise None."""
    modes: tuple[ModeAdvice, ...]
    """Every sharing mode under which the task would share a model."""
    unshared_modes: tuple[str, ...]
    """Sharing modes under which no other task of the data would share its model."""


@dataclass(frozen=True)
class Advice:
    """Advice for a data set."""

    data: NewData
    sweeps: tuple[SweepEvidence, ...]
    tasks: tuple[TaskAdvice, ...]
    undecided: tuple[Undecided, ...]
    """Undecided cells of the sweeps that concern these tasks, sorted by the number of seeds needed."""


def advise(data: NewData, sweeps: Sequence[SweepEvidence]) -> Advice:
    """Apply the rule (rule.py) to each task and each sharing mode in the sweeps."""
    cells = [cell for sweep in sweeps for cell in sweep.cells]
    modes = tuple(dict.fromkeys(cell.mode for cell in cells))
    tasks = tuple(_advise_on_task(new, modes, cells, data) for new in data.tasks)
    return Advice(data, tuple(sweeps), tasks, tuple(find_undecided(list_tasks_with_modes(tasks), sweeps)))


def list_tasks_with_modes(tasks: Sequence[TaskAdvice]) -> list[tuple[NewTask, frozenset[str]]]:
    """Return each task with the sharing modes under which it would share a model."""
    return [(task.new, frozenset(mode.result.mode for mode in task.modes)) for task in tasks]


def _advise_on_task(new: NewTask, modes: Sequence[str], cells: Sequence[EvidenceCell], data: NewData) -> TaskAdvice:
    shared: list[ModeAdvice] = []
    unshared_modes: list[str] = []
    for mode in modes:
        result = assess_mode(new, mode, cells)
        if is_rule(mode):
            partners = find_partners(mode, new, data.tasks)
            is_alone = not partners
        else:
            members = {member for cell in result.cells for member in cell.shares_with}
            partners = find_counterparts(new, members, data.tasks)
            # Without cells the blocks are unknown, so that the task need not be alone; the result states why.
            is_alone = bool(result.cells) and not partners
        if is_alone:
            unshared_modes.append(mode)
        else:
            shared.append(ModeAdvice(result, partners, find_steps(new, mode, cells)))
    kind, best = _choose(shared)
    return TaskAdvice(new, kind, best, tuple(shared), tuple(unshared_modes))


def _choose(modes: Sequence[ModeAdvice]) -> tuple[Kind, ModeAdvice | None]:
    """Return the advice and the recommended mode, by the same order as the report: gain first, then no loss.

    The advice is not to share only if every mode loses, because a mode without a verdict may be the better one.
    """
    gains = [mode for mode in modes if mode.result.verdict == "gain"]
    if gains:
        return "share", max(gains, key=_mean)
    harmless = [mode for mode in modes if mode.result.verdict == "no_loss"]
    if harmless:
        # The largest block saves the most models.
        return "may share", max(harmless, key=lambda mode: (len(mode.shares_with), _mean(mode)))
    if modes and all(mode.result.verdict == "loss" for mode in modes):
        return "do not share", None
    if any(mode.result.verdict == "undecided" for mode in modes):
        return "undecided", None
    return "not known", None


def _mean(mode: ModeAdvice) -> float:
    return mode.result.prediction.mean if mode.result.prediction is not None else float("-inf")


def leave_out_task(sweep: SweepEvidence, task_id: str) -> SweepEvidence:
    """Return the evidence without one task, to test how well the other tasks predict it."""
    return replace(sweep, cells=tuple(cell for cell in sweep.cells if cell.task.id != task_id))
