"""From how many training samples on advice changes, where sweeps of several scales show it.

The same rule is asked what it would say at other numbers of training samples; only verdicts that say something are
compared, and only cells of sweeps with several scales count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.rule import Verdict, answer, bears_on
from usaggr.advice.sharing_modes import NewTask
from usaggr.statistics.scale_trend import LEAST_SPAN


@dataclass(frozen=True)
class Step:
    """A verdict, and the number of training samples at which the sweeps show it first."""

    n_train: int
    verdict: Verdict


def steps(new: NewTask, way: str, cells: Sequence[EvidenceCell]) -> tuple[Step, ...]:
    """How the verdict for a task changes with its number of training samples, from the smallest on; empty: not shown.

    Undecided and unknown verdicts in between are passed over: they do not show a change. There are two steps at least.

    Args:
        new: the task; its own number of training samples plays no part.
        way: of sharing.
        cells: of all sweeps.
    """
    several = [cell for cell in cells if cell.scales > 1 and cell.way == way]
    found: list[Step] = []
    for n_train in _sizes(new, several):
        verdict = answer(replace(new, n_train=n_train), way, several).verdict
        if verdict in ("gain", "no_loss", "loss") and (not found or found[-1].verdict != verdict):
            found.append(Step(n_train, verdict))
    return tuple(found) if len(found) > 1 else ()


def _sizes(new: NewTask, cells: Sequence[EvidenceCell]) -> list[int]:
    """Numbers of training samples to ask about: of cells that speak of the task, no two of about the same size."""
    known = sorted({cell.n_train for cell in cells if bears_on(replace(new, n_train=cell.n_train), cell) is not None})
    kept: list[int] = []
    for n_train in known:
        if n_train > 0 and (not kept or n_train >= LEAST_SPAN * kept[-1]):
            kept.append(n_train)
    return kept
