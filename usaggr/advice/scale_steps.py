"""Numbers of training samples at which advice changes, from sweeps with several scales.

The rule is applied to other numbers of training samples, using only cells of sweeps with several scales. Only verdicts
of gain, no loss or loss are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.rule import Verdict, assess_mode, find_level
from usaggr.advice.sharing_modes import NewTask
from usaggr.statistics.scale_trend import LEAST_SPAN


@dataclass(frozen=True)
class Step:
    """Verdict with the smallest number of training samples at which the sweeps show it."""

    n_train: int
    verdict: Verdict
    rarer_than: int | None = None
    """N of a no loss that holds only apart from failures rarer than 1 in N."""


def find_steps(new: NewTask, mode: str, cells: Sequence[EvidenceCell]) -> tuple[Step, ...]:
    """Return the verdicts for a task by its number of training samples, in ascending order.

    Undecided and unknown verdicts in between are left out, because they do not show a change.

    Args:
        new: The task; its own number of training samples has no effect.
        mode: Sharing mode.
        cells: Cells of all sweeps.

    Returns:
        At least two steps; none if the verdict does not change.
    """
    # Tasks of different sizes differ in more than size: only sweeps that vary the size of one task count.
    several = [cell for cell in cells if cell.scales > 1 and cell.mode == mode]
    steps: list[Step] = []
    for n_train in _choose_sizes(new, several):
        result = assess_mode(replace(new, n_train=n_train), mode, several)
        verdict = result.verdict
        if verdict in ("gain", "no_loss", "loss") and (not steps or steps[-1].verdict != verdict):
            steps.append(Step(n_train, verdict, result.rarer_than))
    return tuple(steps) if len(steps) > 1 else ()


def _choose_sizes(new: NewTask, cells: Sequence[EvidenceCell]) -> list[int]:
    """Return the numbers of training samples to try: those of relevant cells, at least a factor LEAST_SPAN apart."""
    candidates = sorted({c.n_train for c in cells if find_level(replace(new, n_train=c.n_train), c) is not None})
    sizes: list[int] = []
    for n_train in candidates:
        if n_train > 0 and (not sizes or n_train >= LEAST_SPAN * sizes[-1]):
            sizes.append(n_train)
    return sizes
