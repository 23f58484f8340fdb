"""Small studies drawn from a pool of many seeds, each judged by the code that makes a report's tables.

A study is a bootstrap sample of the pool: seeds and test components are both drawn with replacement. Intervals allow
for other seeds and other subjects, so draws without replacement, or with one test set, would show too few errors.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.verdicts import judged_cells
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.observations import observe
from usaggr.analysis.pseudovalues import TaskPseudovalues
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.subsets import TestFold
from usaggr.metrics.names import get_main_metric
from usaggr.tasks import CATALOGUE

Cell = tuple[str, float | int, str]
"""Grouping, scale and task."""
WRONG = ("gain", "loss")
"""Verdicts that are false if nothing differs."""


@dataclass(frozen=True)
class Truth:
    """True difference of a cell, estimated from all seeds of the pool."""

    delta: float
    """Mean difference of the main metric from the reference, over all seeds of the pool."""
    sd: float
    """Standard deviation of the difference between seeds."""
    seeds: int
    """Number of seeds of the pool."""
    reference: float
    """Mean score of the reference."""

    @property
    def error(self) -> float:
        """Standard error of delta over seeds alone, because the test subjects are the same for all."""
        return float(self.sd / np.sqrt(self.seeds))


def estimate_truths(pool: Collection) -> dict[Cell, Truth]:
    """Return the true difference of each cell that does not use the same run as the reference."""
    main = [row for row in observe(pool) if row.main]
    pairs = [pair for pair in pair_with_reference(main, pool.study.reference) if pair.has_delta]
    compared = [pair for pair in pairs if not pair.is_same_run]
    truths_: dict[Cell, Truth] = {}
    for cell_pairs in group_rows(compared, lambda pair: pair.compared.cell).values():
        first, delta = cell_pairs[0].compared, np.array([pair.delta for pair in cell_pairs])
        mean = float(np.mean([pair.reference_value for pair in cell_pairs]))
        sd = float(delta.std(ddof=1)) if delta.size > 1 else float("nan")
        truths_[first.grouping, first.scale, first.task] = Truth(float(delta.mean()), sd, delta.size, mean)
    return truths_


@dataclass(frozen=True)
class Draw:
    """Bootstrap sample of a pool's seeds and test components."""

    seeds: tuple[int, ...]
    """Seeds in ascending order; a seed may occur several times."""
    components: NDArray[np.int64]
    """Ids of test components; an id may occur several times."""


def draw_studies(pool: Collection, size: int, draws: int, rng: np.random.Generator) -> Iterator[Draw]:
    """Draw the seeds and the test components of several studies from a pool, with replacement.

    Components are drawn within sets of those that occur in the same tasks. Each task keeps its number of components.

    Args:
        pool: Finished sweep of all seeds.
        size: Number of seeds of a study.
        draws: Number of studies.
        rng: Random generator.

    Raises:
        ValueError: if the pool has fewer than `size` seeds, which would repeat too often.
    """
    if len(pool.study.seeds) < size:
        raise ValueError(f"{size} seeds cannot be drawn from {len(pool.study.seeds)}")
    tasks_of: dict[int, tuple[str, ...]] = {}
    for task, fold in pool.folds.items():
        for component in fold.components.tolist():
            tasks_of[component] = (*tasks_of.get(component, ()), task)
    strata = [
        np.array(members, dtype=np.int64) for members in group_rows(sorted(tasks_of), tasks_of.__getitem__).values()
    ]
    for _ in range(draws):
        seeds = tuple(sorted(int(seed) for seed in rng.choice(pool.study.seeds, size)))
        yield Draw(seeds, np.concatenate([rng.choice(members, members.size) for members in strata]))


def make_study(
    pool: Collection, draw: Draw, margin: float | None = None, removed: Mapping[Cell, float] | None = None
) -> Collection:
    """Return the study of a draw. A seed or component that is drawn twice counts as two.

    Scores of the trivial predictor, which only skill depends on, stay those of the pool's test set.

    Args:
        pool: Finished sweep of all seeds.
        draw: Seeds and test components.
        margin: Margin of no loss; None: that of the pool.
        removed: Differences by which the main scores of cells are made worse. With the pool's own difference, the cell
            has none in the population from which studies are drawn.
    """
    study = pool.study
    settings: dict[str, Any] = dict(study.settings)
    if margin is not None:
        settings["report"] = {**settings["report"], "margin": margin}
    # Positions of the drawn components in each task's tables, and their new ids, which tasks share.
    drawn = {task: _find_columns(fold, draw.components) for task, fold in pool.folds.items()}
    folds = {task: replace(pool.folds[task], components=ids) for task, (ids, _) in drawn.items()}
    columns = {task: positions for task, (_, positions) in drawn.items()}
    by_seed = group_rows(pool.runs, lambda run: run.row.seed)
    runs = tuple(
        _resample_run(run, number, columns, removed or {})
        for number, seed in enumerate(draw.seeds)
        for run in by_seed.get(seed, [])
    )
    seeds = tuple(range(len(draw.seeds)))
    return replace(pool, study=replace(study, seeds=seeds, settings=settings), runs=runs, folds=folds)


def _find_columns(fold: TestFold, components: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the new ids of the drawn components of a task, and their positions in the task's tables."""
    ids = np.flatnonzero(np.isin(components, fold.components))
    return ids, np.searchsorted(fold.components, components[ids])


def _resample_run(
    run: CollectedRun, number: int, columns: Mapping[str, NDArray[np.int64]], removed: Mapping[Cell, float]
) -> CollectedRun:
    """Return a run with another seed, scored on the drawn components.

    Args:
        run: Run of the pool.
        number: New seed; a run that is drawn twice becomes two runs.
        columns: Positions of the drawn components by task.
        removed: Differences by which the main scores of cells are made worse.
    """
    row = replace(run.row, seed=number, fingerprint=f"{run.row.fingerprint}-{number}")
    if run.result is None or run.pseudovalues is None:
        return replace(run, row=row)
    pseudovalues, scores = {}, {}
    for task, values in run.pseudovalues.items():
        metrics = {name: column[columns[task]] for name, column in values.metrics.items()}
        name, change = _find_change(run, task, removed)
        metrics[name] = metrics[name] + change
        pseudovalues[task] = TaskPseudovalues(metrics, values.rarer_class_size)
        means = {metric: float(column.mean()) for metric, column in metrics.items()}
        scores[task] = {**run.result.scores[task], **means}
    return replace(run, row=row, result=replace(run.result, scores=scores), pseudovalues=pseudovalues)


def _find_change(run: CollectedRun, task: str, removed: Mapping[Cell, float]) -> tuple[str, float]:
    """Return the main metric of a task, and what is added to its values in a run."""
    metric = get_main_metric(CATALOGUE[task].type)
    cells = [(grouping, run.row.scale, task) for grouping in run.row.groupings]
    # A run of several groupings has the same difference in all of them.
    difference = next((removed[cell] for cell in cells if cell in removed), 0.0)
    return metric.name, -difference if metric.higher_is_better else difference


@dataclass(frozen=True)
class Judged:
    """Counts of verdicts over draws from a pool."""

    draws: int
    verdicts: Mapping[tuple[Cell, str], int]
    """Number of draws by cell and verdict; the verdict is empty if the cell has none."""
    false_families: Mapping[str, int]
    """Number of draws, by grouping, in which a cell without planted difference has a gain or loss."""
    opposite: Mapping[str, int]
    """Number of draws, by grouping, in which a gain or loss has the opposite sign of the pool's difference."""

    def rate(self, cell: Cell, verdict: str) -> float:
        """Return the share of draws in which a cell has a verdict."""
        return self.verdicts.get((cell, verdict), 0) / self.draws


def judge_draws(
    pool: Collection, draws: Sequence[Draw], margin: float, null: Sequence[Cell], truth: Mapping[Cell, Truth]
) -> Judged:
    """Judge the study of each draw as in a report.

    The pool's difference in cells without a planted one is removed: it is due to the pool's seeds and subjects, but in
    the population from which studies are drawn it would be true.

    Args:
        pool: Finished sweep of all seeds.
        draws: Seeds and components of each drawn study.
        margin: Margin of no loss.
        null: Cells without planted difference.
        truth: True difference of each cell.
    """
    removed = {cell: truth[cell].delta for cell in null}
    verdicts: Counter[tuple[Cell, str]] = Counter()
    false: Counter[str] = Counter()
    opposite: Counter[str] = Counter()
    for draw in draws:
        cells = judged_cells(compare_study(make_study(pool, draw, margin, removed), main_only=True))
        wrong, against = set(), set()
        for row in cells:
            cell = (row.grouping, row.scale, row.task)
            verdict = row.verdict
            verdicts[cell, verdict] += 1
            if cell in null and verdict in WRONG:
                wrong.add(cell[0])
            if verdict in WRONG and (verdict == "gain") != (truth[cell].delta > 0):
                against.add(cell[0])
        false.update(wrong)
        opposite.update(against)
    return Judged(len(draws), verdicts, false, opposite)


def add_counts(parts: Sequence[Judged]) -> Judged:
    """Return the sum of the counts over several sets of draws."""
    totals: list[Counter[Any]] = [Counter(), Counter(), Counter()]
    for judged, total in itertools.product(parts, range(3)):
        totals[total].update((judged.verdicts, judged.false_families, judged.opposite)[total])
    return Judged(sum(judged.draws for judged in parts), *totals)
