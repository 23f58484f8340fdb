"""Simulated worlds with a known difference between two groupings, for benchmarks/evidence/coverage.py.

Each world draws studies: pseudo-values of the grouping and of the reference, both (repetitions, seeds, subjects). Each
repetition draws new test subjects and new seeds, the two sources of random variation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.jackknife import compute_auc_pseudovalues, compute_confusion_pseudovalues, mean_pseudovalues
from usaggr.statistics.joint_tables import WeightedTable, make_joint_table

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int, int], tuple[Array, Array]]
"""Function from generator, repetitions, seeds and subjects to the pseudo-values of grouping and reference."""


@dataclass(frozen=True)
class Scenario:
    """A simulated world and its true difference."""

    name: str
    what: str
    truth: float
    """The difference over all seeds and subjects."""
    draw: Draw
    by_sample: bool = True
    """True if the score is a mean over samples."""
    guaranteed: bool = True
    """True if the guarantee of coverage includes this world."""


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return the worlds of single tasks that the guarantee includes."""
    ratios = {"19 : 1": 19.0, "4 : 1": 4.0, "1 : 1": 1.0, "1 : 4": 0.25, "0 : 1": 0.0}
    normal = [
        Scenario(
            f"normal, seeds : subjects {name}",
            "",
            0.01,
            _normal(r),
        )
        for name, r in ratios.items()
    ]
    return (
        *normal,
        _dice("skewed DSC", "mean .80, a long tail to 0", (1.9, 2.0), subject_sd=1.2, seed_sd=0.12),
        _dice("near-ceiling DSC", "mean .96", (3.5, 3.6), subject_sd=0.6, seed_sd=0.1, run_subject_sd=0.3),
        _dice("DSC with ties", "rounded to .1", (1.4, 1.5), subject_sd=1.0, seed_sd=0.12, step=0.1),
        _dice("clustered DSC", "1 to 5 images per subject", (1.4, 1.5), subject_sd=1.0, seed_sd=0.12, clustered=True),
        _accuracy(),
        _auc("AUC, unbalanced", (1.2, 1.3), seed=0.15),
        _auc("AUC near its ceiling", (2.2, 2.4), seed=0.2),
        *_three_classes(),
    )


def rare_failures(rate: float = 0.03, loss: float = 0.8) -> Scenario:
    """Return a world outside of the guarantee: a few subjects lose nearly everything under the grouping."""

    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        shape = (repetitions, seeds, subjects)
        failed = rng.random((repetitions, 1, subjects)) < rate
        reference = 0.9 + 0.03 * rng.standard_normal(shape)
        return 0.9 + 0.03 * rng.standard_normal(shape) - loss * failed, reference

    what = f"{100 * rate:g} % of the subjects lose {loss}"
    return Scenario("rare failures", what, -rate * loss, draw, guaranteed=False)


def many_tasks() -> tuple[Scenario, ...]:
    """Return the world of a mean difference of six tasks, two of which share their subjects.

    The tables of the tasks are combined into one (see usaggr/statistics/joint_tables.py).
    """
    tasks, first_shares = 6, 2

    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        sizes = [subjects, subjects, subjects // 2, subjects // 3, subjects // 2, subjects]
        starts = [0, 0, *(np.cumsum(sizes[1:-1])).tolist()]
        tables = []
        for _ in range(repetitions):
            run = rng.standard_normal((seeds, 1))
            shared = rng.standard_normal((1, subjects))
            parts = []
            for task in range(tasks):
                components = np.arange(starts[task], starts[task] + sizes[task])
                of_subject = shared if task < first_shares else rng.standard_normal((1, sizes[task]))
                value = 0.01 * run + 0.01 * rng.standard_normal((seeds, 1)) + 0.1 * of_subject
                value = value + 0.05 * rng.standard_normal((seeds, sizes[task]))
                parts.append(WeightedTable(value, components, 1 / tasks))
            tables.append(make_joint_table(parts))
        table = np.stack(tables)
        return table, np.zeros_like(table)

    return (Scenario("mean of six tasks", "two share their subjects, folds differ in size", 0.0, draw),)


def _normal(ratio: float) -> Draw:
    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        by_subject = 0.1
        by_seed = by_subject * np.sqrt(ratio * seeds / subjects)
        table = by_seed * rng.standard_normal((repetitions, seeds, 1))
        table = table + by_subject * rng.standard_normal((repetitions, 1, subjects))
        table += 0.05 * rng.standard_normal((repetitions, seeds, subjects))
        return 0.01 + table, np.zeros_like(table)

    return draw


def _dice(
    name: str, what: str, levels: tuple[float, float], subject_sd: float, seed_sd: float, run_subject_sd: float = 0.5,
    step: float = 0.0, clustered: bool = False,
) -> Scenario:  # fmt: skip
    """Return a world in which DSC is the logistic function of a normal score.

    The score is a sum of effects of the subject, of the run, and of the run on the subject.

    Args:
        name: Name of the world.
        what: Description for the page.
        levels: Mean score under the reference and under the grouping.
        subject_sd: Standard deviation between subjects.
        seed_sd: Standard deviation between runs.
        run_subject_sd: Standard deviation of a run's effect on a subject.
        step: DSC is rounded to multiples of this; 0: not rounded.
        clustered: Gives each subject 1 to 5 images.
    """
    spread = np.sqrt(subject_sd**2 + seed_sd**2 + run_subject_sd**2)

    def score(logit: Array) -> Array:
        dice = 1 / (1 + np.exp(-logit))
        return np.asarray(np.round(dice / step) * step if step else dice)

    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        sizes = rng.integers(1, 6, subjects) if clustered else np.ones(subjects, dtype=int)
        place = np.repeat(np.arange(subjects), sizes)
        shape = (repetitions, seeds, place.size)
        # Half of the variance between subjects is common to both groupings.
        common = rng.standard_normal((repetitions, 1, subjects))
        arms = []
        for level in levels:
            alone = rng.standard_normal((repetitions, 1, subjects))
            of_subject = subject_sd * np.sqrt(0.5) * (common + alone)[..., place]
            of_seed = seed_sd * rng.standard_normal((repetitions, seeds, 1))
            value = score(level + of_subject + of_seed + run_subject_sd * rng.standard_normal(shape))
            if clustered:
                pseudovalues = [mean_pseudovalues(row, place) for row in value.reshape(-1, place.size)]
                value = np.array(pseudovalues).reshape(repetitions, seeds, subjects)
            arms.append(value)
        return arms[1], arms[0]

    nodes, weights = np.polynomial.hermite_e.hermegauss(199)
    if step:
        grid = np.linspace(-9, 9, 200_001)
        nodes, weights = grid, np.exp(-(grid**2) / 2)
    means = [float((weights * score(level + spread * nodes)).sum() / weights.sum()) for level in levels]
    return Scenario(name, what, means[1] - means[0], draw)


def _accuracy() -> Scenario:
    """Return a world of correct and wrong predictions in which four in ten subjects are wrong."""
    levels, spread = (0.3, 0.4), np.sqrt(1 + 0.1**2 + 0.5**2)

    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        shape = (repetitions, seeds, subjects)
        subject = rng.standard_normal((repetitions, 1, subjects))
        arms = []
        for level in levels:
            seed = 0.1 * rng.standard_normal((repetitions, seeds, 1))
            arms.append((level + subject + seed + 0.5 * rng.standard_normal(shape) > 0).astype(float))
        return arms[1], arms[0]

    from scipy.stats import norm

    truth = float(norm.cdf(levels[1] / spread) - norm.cdf(levels[0] / spread))
    return Scenario("accuracy .6", "right or wrong: many ties", truth, draw)


def _auc(name: str, separations: tuple[float, float], seed: float) -> Scenario:
    """Return a world of binormal scores; the rarer class has 10 of 30, 15 of 100 or 40 of 400 subjects."""
    run_subject_sd = 0.5

    def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        rare = {30: 10, 100: 15, 400: 40}[subjects]
        labels = (np.arange(subjects) < rare).astype(np.int64)
        place = np.arange(subjects)
        subject = rng.standard_normal((repetitions, 1, subjects))
        arms = []
        for separation in separations:
            gap = separation + seed * rng.standard_normal((repetitions, seeds, 1))
            value = labels * gap + subject + run_subject_sd * rng.standard_normal((repetitions, seeds, subjects))
            pseudovalues = [
                compute_auc_pseudovalues(labels, np.stack([-row, row], axis=1), place)
                for row in value.reshape(-1, subjects)
            ]
            arms.append(np.array(pseudovalues).reshape(value.shape))
        return arms[1], arms[0]

    from scipy.stats import norm

    spread = np.sqrt(2 * (1 + run_subject_sd**2) + seed**2)
    truth = float(norm.cdf(separations[1] / spread) - norm.cdf(separations[0] / spread))
    what = "10, 15, 40 subjects in the rarer class"
    return Scenario(name, what, truth, draw, by_sample=False)


def _three_classes() -> tuple[Scenario, Scenario]:
    """Return worlds of macro F1 and MCC with three classes, with half, a sixth and a third of the subjects."""
    levels, seed, run_subject_sd = (1.0, 1.1), 0.1, 0.7

    def scores(rng: np.random.Generator, labels: Array, subject: Array, level: float, shape: tuple[int, ...]) -> Array:
        gap = level + seed * rng.standard_normal((*shape[:-1], 1))
        value = subject + run_subject_sd * rng.standard_normal((*shape, 3))
        value += np.eye(3)[labels.astype(int)] * gap[..., None]
        return np.asarray(value)

    def draw_of(metric: str) -> Draw:
        def draw(rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> tuple[Array, Array]:
            labels = np.repeat([0, 1, 2], [subjects // 2, subjects - subjects // 2 - subjects // 3, subjects // 3])
            place = np.arange(subjects)
            subject = rng.standard_normal((repetitions, 1, subjects, 3))
            arms = []
            for level in levels:
                value = scores(rng, labels, subject, level, (repetitions, seeds, subjects))
                pseudovalues = [
                    compute_confusion_pseudovalues(labels, row, place)[metric] for row in value.reshape(-1, subjects, 3)
                ]
                arms.append(np.array(pseudovalues).reshape(repetitions, seeds, subjects))
            return arms[1], arms[0]

        return draw

    def truth_of(metric: str, subjects: int = 60_000, runs: int = 40) -> float:
        rng = np.random.default_rng(7)
        labels = np.repeat([0, 1, 2], [subjects // 2, subjects - subjects // 2 - subjects // 3, subjects // 3])
        values = []
        for _ in range(runs):
            subject = rng.standard_normal((subjects, 3))
            values_by_level = [scores(rng, labels, subject, level, (1, subjects))[0] for level in levels]
            place = np.arange(subjects) % 2  # two subjects of 30,000 samples suffice, since only the mean is used
            pair = [compute_confusion_pseudovalues(labels, value, place)[metric].mean() for value in values_by_level]
            values.append(pair[1] - pair[0])
        return float(np.mean(values))

    return (
        Scenario("macro F1", "three classes", truth_of("f1_macro"), draw_of("f1_macro"), by_sample=False),
        Scenario("MCC", "three classes", truth_of("mcc"), draw_of("mcc"), by_sample=False),
    )
