"""Factories of evidence cells with known effects, of new tasks, and of finished sweeps."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tests.report.sweeps import FakeSweep, level
from usaggr.advice.evidence import Effect, EvidenceCell, SweepEvidence, read_sweeps
from usaggr.advice.sharing_modes import NewTask
from usaggr.progress import NoProgress
from usaggr.tasks import CATALOGUE, Task

SEGMENTATIONS = ("breast_lesion", "carotid_artery", "cervix", "fetal_head", "fetal_heart", "lung", "ovary_tumor")
"""Segmentation tasks of different clinical groups."""
TASKS = ("breast_lesion", "cervix", "fetal_head", "lung", "FUGC")
"""Tasks of a sweep: four segmentations and one landmark task; three are obstetric."""


def new(task_id: str = "thyroid_nodule", n_train: int = 100, **changes: object) -> NewTask:
    return NewTask(replace(CATALOGUE[task_id], **changes), n_train)  # type: ignore[arg-type]


def cell(
    task: str | Task = "breast_lesion",
    value: float = 0.0,
    half: float = 0.01,
    verdict: str = "undecided",
    n_train: int = 100,
    **changes: object,
) -> EvidenceCell:
    """Make a cell of a unified model; `half` is the half width of its 95 % interval."""
    task = CATALOGUE[task] if isinstance(task, str) else task
    low, high = value - half, value + half
    made = EvidenceCell(
        sweep="outputs/a",
        content="c" * 64,
        task=task,
        grouping="unified",
        mode="unified",
        shares_with=(CATALOGUE["IUGC"],),
        scale=1.0,
        n_train=n_train,
        seeds=3,
        metric="dsc",
        delta=value,
        delta_low=low,
        delta_high=high,
        verdict=verdict,
        note="",
        seeds_needed=None,
        effect=Effect(value, half / 2.2, low, high, 0.02),
        unusable="",
        invalid=False,
        scales=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def sweep_of(*cells: EvidenceCell, **changes: object) -> SweepEvidence:
    made = SweepEvidence(("outputs/a",), "a", "c" * 64, "outputs", (0, 1, 2), cells)
    return replace(made, **changes)  # type: ignore[arg-type]


@cache
def evidence_of(directory: Path) -> SweepEvidence:
    """Read the evidence in a folder; the folder must not change, because the result is cached."""
    (sweep,) = read_sweeps([directory], NoProgress())
    return sweep


def finished(
    directory: Path,
    deltas: dict[str, float],
    noise: float = 0.004,
    tasks: tuple[str, ...] = TASKS,
    **fields: object,
) -> FakeSweep:
    """Write a finished sweep whose groupings differ from the task-specific models by these amounts of skill."""
    sweep = FakeSweep(directory, tasks=tasks, subjects=20, frames=1, spread=0.02, **fields)  # type: ignore[arg-type]

    def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        names = {tuple(sorted(b)): g for g in sweep.groupings for b in sweep.partitions[g].values()}
        delta = 0.0 if len(block) == 1 else deltas.get(f"{names[block]}@{scale:g}", deltas.get(names[block], 0.0))
        rng = np.random.default_rng([sweep.tasks.index(task), len(block), round(1000 * scale), seed])
        return level(CATALOGUE[task], 0.6 + delta + noise * float(rng.standard_normal()))

    return sweep.finish(score)
