"""Small studies drawn from a pool of many seeds, each judged by the code that makes the tables of a report."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.evidence.verdicts import judged_cells
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.comparison import pairs_of
from usaggr.analysis.observations import observe

Cell = tuple[str, float | int, str]
"""grouping, scale, task"""
WRONG = ("gain", "loss")
"""Verdicts that are false where nothing differs."""


@dataclass(frozen=True)
class Truth:
    """What the whole pool says of a cell."""

    delta: float
    """Mean difference of the main metric from the reference, over all seeds of the pool."""
    sd: float
    """Of a seed's difference."""
    seeds: int
    reference: float
    """Mean of the reference's score."""

    @property
    def error(self) -> float:
        """Standard error of delta, by seeds alone: the test subjects are the same for all."""
        return float(self.sd / np.sqrt(self.seeds))


def truths(pool: Collection) -> dict[Cell, Truth]:
    """Of all cells that are not the reference's own run."""
    observations = observe(pool)
    pairs = pairs_of(observations[observations["main"]], pool.study.reference)
    pairs = pairs[~pairs["same"] & pairs["delta"].notna()]
    found: dict[Cell, Truth] = {}
    for _, rows in pairs.groupby(["grouping", "scale", "task"], sort=False):
        first, delta = rows.iloc[0], rows["delta"]
        mean = float(rows["value_reference"].mean())
        found[str(first["grouping"]), first["scale"], str(first["task"])] = Truth(
            float(delta.mean()), float(delta.std()), len(delta), mean
        )
    return found


def seed_draws(seeds: Sequence[int], size: int, draws: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Seeds of so many studies, each `size` different ones of the pool's.

    Raises:
        ValueError: the pool is too small to draw from.
    """
    if len(seeds) < size:
        raise ValueError(f"{size} seeds cannot be drawn from {len(seeds)}")
    for _ in range(draws):
        yield tuple(sorted(int(seed) for seed in rng.choice(seeds, size, replace=False)))


def of_seeds(pool: Collection, seeds: Sequence[int], margin: float | None = None) -> Collection:
    """The study that would have had these seeds alone, and this margin (None: the pool's own)."""
    study = pool.study
    settings: dict[str, Any] = dict(study.settings)
    if margin is not None:
        settings["report"] = {**settings["report"], "margin": margin}
    runs = tuple(run for run in pool.runs if run.row.seed in seeds)
    return replace(pool, study=replace(study, seeds=tuple(seeds), settings=settings), runs=runs)


@dataclass(frozen=True)
class Judged:
    """Over all draws from a pool."""

    draws: int
    verdicts: Mapping[tuple[Cell, str], int]
    """How often a cell has a verdict; empty where it has none."""
    false_families: Mapping[str, int]
    """Grouping: draws in which any cell where nothing is planted has a gain or loss."""
    opposite: Mapping[str, int]
    """Grouping: draws in which any cell has a gain or loss against the sign of the pool's own difference."""

    def rate(self, cell: Cell, verdict: str) -> float:
        """Share of draws in which a cell has a verdict."""
        return self.verdicts.get((cell, verdict), 0) / self.draws


def judge_draws(
    pool: Collection, draws: Sequence[tuple[int, ...]], margin: float, null: Sequence[Cell], truth: Mapping[Cell, Truth]
) -> Judged:
    """Judge the study of each draw as a report does; `null` are the cells where nothing is planted."""
    verdicts: Counter[tuple[Cell, str]] = Counter()
    false: Counter[str] = Counter()
    opposite: Counter[str] = Counter()
    for seeds in draws:
        cells = judged_cells(compare_study(of_seeds(pool, seeds, margin), main_only=True))
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


def added(parts: Sequence[Judged]) -> Judged:
    """The counts of several lots of draws together."""
    totals: list[Counter[Any]] = [Counter(), Counter(), Counter()]
    for part, total in itertools.product(parts, range(3)):
        totals[total].update((part.verdicts, part.false_families, part.opposite)[total])
    return Judged(sum(part.draws for part in parts), *totals)
