"""Small studies drawn from a pool of many seeds, each judged by the code that makes a report's tables."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.evidence.verdicts import judged_cells
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.observations import observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import group_rows

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


def draw_seeds(seeds: Sequence[int], size: int, draws: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Draw the seeds of several studies from a pool without replacement.

    Args:
        seeds: Seeds of the pool.
        size: Number of seeds of a study.
        draws: Number of studies.
        rng: Random generator.

    Raises:
        ValueError: if the pool has fewer than `size` seeds.
    """
    if len(seeds) < size:
        raise ValueError(f"{size} seeds cannot be drawn from {len(seeds)}")
    for _ in range(draws):
        yield tuple(sorted(int(seed) for seed in rng.choice(seeds, size, replace=False)))


def select_seeds(pool: Collection, seeds: Sequence[int], margin: float | None = None) -> Collection:
    """Return the study with these seeds alone, and with this margin (None: that of the pool)."""
    study = pool.study
    settings: dict[str, Any] = dict(study.settings)
    if margin is not None:
        settings["report"] = {**settings["report"], "margin": margin}
    runs = tuple(run for run in pool.runs if run.row.seed in seeds)
    return replace(pool, study=replace(study, seeds=tuple(seeds), settings=settings), runs=runs)


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
    pool: Collection, draws: Sequence[tuple[int, ...]], margin: float, null: Sequence[Cell], truth: Mapping[Cell, Truth]
) -> Judged:
    """Judge the study of each draw as in a report.

    Args:
        pool: Finished sweep of all seeds.
        draws: Seeds of each drawn study.
        margin: Margin of no loss.
        null: Cells without planted difference.
        truth: True difference of each cell.
    """
    verdicts: Counter[tuple[Cell, str]] = Counter()
    false: Counter[str] = Counter()
    opposite: Counter[str] = Counter()
    for seeds in draws:
        cells = judged_cells(compare_study(select_seeds(pool, seeds, margin), main_only=True))
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
