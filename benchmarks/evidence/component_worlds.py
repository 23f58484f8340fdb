"""Simulated families of verdicts from the components of variance: seeds, subjects and residual.

A study has tasks, three arms (the reference and two groupings), scales and seeds. Judging a difference needs only its
mean and three mean squares, so these are drawn directly where effects are normal: seeds' effects exactly, the squares
of subjects and of the residual as a Wishart matrix, whose two cells are correlated by the reference that they share.
All true differences are 0. The worlds of REVIEW follow the description of an independent review; FURTHER are more.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Tail = Literal["normal", "t3", "skewed"]

GROUPINGS = ("clinical", "unified")
UNIFIED_SHARED = 0.8
"""Correlation of the seed effects of two tasks under the unified model, because one run trains both."""
_FALL_RATE = 0.2
_SKEW = 0.6
"""Standard deviation of the logarithm of skewed seed effects; their skewness is -2.3."""


@dataclass(frozen=True)
class World:
    """Random variation in a study: standard deviations in units of the score, and factors on them."""

    name: str
    arm_factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on the seeds' standard deviation: reference, clinical, unified."""
    small_scale_factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Additional factors at the smallest scale."""
    seed_sd: float = 0.015
    """Standard deviation of one run's effect on a task."""
    subject_sd: float = 0.05
    """Standard deviation between subjects, specific to an arm."""
    residual_sd: float = 0.05
    """Standard deviation between subjects, specific to a run."""
    scales: int = 2
    subjects: tuple[int, ...] = (100,)
    """Numbers of subjects, repeated over the tasks."""
    same_seed: float = 0.0
    """Share of the seeds' variance that is common to all scales."""
    clinical_shared: float = 0.0
    """Correlation of the seed effects of two tasks under the clinical grouping."""
    unified_shared: float = UNIFIED_SHARED
    subject_correlation: float = 0.0
    """Correlation of the two groupings' effects on a subject."""
    seed_tail: Tail = "normal"
    subject_tail: Literal["normal", "t3"] = "normal"
    task_log_sd: float = 0.0
    """Standard deviation over tasks of the logarithm of the seeds' standard deviation."""
    cell_log_sd: float = 0.0
    """Standard deviation of the same logarithm over cells (task x arm x scale)."""
    most_small_scale: float = 1.0
    """Largest of the factors at the smallest scale that are drawn for each task, log-uniform from 1."""
    falls: float = 0.0
    """Loss of each task in a run of the unified model that falls, as one in five does; the mean effect stays 0."""
    falls_alone: bool = False
    """True if each task of a run falls by itself."""


@dataclass(frozen=True)
class Cells:
    """Sufficient statistics of differences from the reference, in arrays (repetitions, tasks, groupings, scales)."""

    value: Array
    """Mean difference; the true one is 0."""
    seeds: Array
    """Mean square between seeds."""
    subjects: Array
    """Mean square between subjects."""
    residual: Array
    """Residual mean square."""
    n_seeds: int
    n_subjects: Array
    """Number of subjects of each task, in an array (tasks, 1, 1) that broadcasts with the others."""


REVIEW = (
    World("alike"),
    World("unified sd x 2", arm_factors=(1, 1, 2)),
    World("unified sd x 2 at the small scale", small_scale_factors=(1, 1, 2)),
    World("unified sd x 3 at the small scale", small_scale_factors=(1, 1, 3)),
    World("all sd x 3 at the small scale", small_scale_factors=(3, 3, 3)),
    World("reference sd x 3", arm_factors=(3, 1, 1)),
    World("seeds only, unified sd x 2", seed_sd=0.03, subject_sd=0.0, residual_sd=0.005, arm_factors=(1, 1, 2)),
    World("same seed over scales, .5", seed_sd=0.03, same_seed=0.5),
    World("same seed over scales, .8", seed_sd=0.03, same_seed=0.8),
    World("four scales", seed_sd=0.03, scales=4),
    World("four scales, same seed .5", seed_sd=0.03, scales=4, same_seed=0.5),
    World("four scales, same seed .8", seed_sd=0.03, scales=4, same_seed=0.8),
    World("t3 seeds", seed_tail="t3"),
    World("t3 subjects", subject_tail="t3"),
    World("tasks unlike", task_log_sd=0.8),
    World("one run in five falls", falls=0.09),
)
FURTHER = (
    World("one task in five falls", falls=0.09, falls_alone=True),
    World("skewed seeds", seed_tail="skewed"),
    World("small scale's sd by task, x 1 to 4", most_small_scale=4.0),
    World("12 to 1000 subjects", subjects=(12, 1000, 40, 150, 25)),
    World("correlated subjects, shared runs", subject_correlation=0.7, clinical_shared=0.5, unified_shared=1.0),
    World("every cell's sd unlike", cell_log_sd=0.5),
    World("reference sd / 3, same seed .5", arm_factors=(1 / 3, 1, 1), same_seed=0.5),
    World("tasks unlike, all sd x 3 at the small scale", task_log_sd=0.6, small_scale_factors=(3, 3, 3)),
)


def draw_cells(world: World, rng: np.random.Generator, repetitions: int, tasks: int, seeds: int) -> Cells:
    """Simulate the sufficient statistics of null studies.

    Args:
        world: Random variation.
        rng: Random generator.
        repetitions: Number of studies.
        tasks: Number of tasks of a study.
        seeds: Number of seeds, from 2.
    """
    subjects = np.resize(np.array(world.subjects, dtype=float), tasks)[:, None, None]
    effects = draw_seed_effects(world, rng, repetitions, tasks, seeds)
    if world.subject_tail == "t3":
        return _reduce_tables(world, rng, effects, int(subjects[0, 0, 0]))
    shape = (repetitions, tasks, 3, world.scales)
    correlation = np.eye(3)
    correlation[1, 2] = correlation[2, 1] = world.subject_correlation
    by_subject = world.subject_sd**2 * _subtract_reference(correlation)
    by_residual = world.residual_sd**2 * _subtract_reference(np.eye(3))
    of_subjects = np.einsum("ab,rtbs->rtas", np.linalg.cholesky(correlation), rng.standard_normal(shape))
    # Means over a task's subjects: of the residual by seed, and of the subjects' own effects, which all seeds share.
    effects = effects + world.residual_sd * rng.standard_normal(effects.shape) / np.sqrt(subjects[..., None])
    effects = effects + (world.subject_sd * of_subjects / np.sqrt(subjects))[..., None]
    by_seed = effects[:, :, 1:] - effects[:, :, :1]
    df = subjects[:, 0] - 1
    shape = (repetitions, tasks, world.scales)
    return Cells(
        by_seed.mean(axis=-1),
        subjects * by_seed.var(axis=-1, ddof=1),
        _draw_sums(rng, seeds * by_subject + by_residual, df, shape) / df[..., None],
        _draw_sums(rng, by_residual, (seeds - 1) * df, shape) / ((seeds - 1) * df[..., None]),
        seeds,
        subjects,
    )


def draw_seed_effects(
    world: World, rng: np.random.Generator, repetitions: int, tasks: int, seeds: int, factors: Array | None = None
) -> Array:
    """Return the effects of runs (repetitions, tasks, arms, scales, seeds), with mean 0.

    Args:
        world: Random variation.
        rng: Random generator.
        repetitions: Number of studies.
        tasks: Number of tasks of a study.
        seeds: Number of seeds.
        factors: Factors from `draw_factors`, to add seeds to studies. Default: factors of new studies.
    """
    arms, scales = 3, world.scales
    shared = np.array([0.0, world.clinical_shared, world.unified_shared])[:, None, None]
    common = _draw_over_scales(world, rng, (repetitions, 1, arms, scales, seeds))
    single = _draw_over_scales(world, rng, (repetitions, tasks, arms, scales, seeds))
    effects = _apply_tail(np.sqrt(shared) * common + np.sqrt(1 - shared) * single, world.seed_tail)
    if factors is None:
        factors = draw_factors(world, rng, repetitions, tasks)
    effects *= world.seed_sd * factors[..., None]
    if world.falls:
        shape = (repetitions, tasks if world.falls_alone else 1, scales, seeds)
        effects[:, :, 2] -= world.falls * ((rng.random(shape) < _FALL_RATE) - _FALL_RATE)
    return np.asarray(effects)


def draw_factors(world: World, rng: np.random.Generator, repetitions: int, tasks: int) -> Array:
    """Return the factors on the seeds' standard deviation (repetitions, tasks, arms, scales), the same for all seeds.

    Args:
        world: Random variation.
        rng: Random generator.
        repetitions: Number of studies.
        tasks: Number of tasks of a study.
    """
    factors = np.ones((repetitions, tasks, 3, world.scales))
    factors *= np.array(world.arm_factors)[:, None]
    factors[..., 0] *= np.array(world.small_scale_factors)
    factors[..., 0] *= world.most_small_scale ** rng.random((repetitions, tasks, 1))
    factors *= np.exp(world.task_log_sd * rng.standard_normal((repetitions, tasks, 1, 1)))
    factors *= np.exp(world.cell_log_sd * rng.standard_normal(factors.shape))
    return factors


def _draw_over_scales(world: World, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return standard normal effects (..., scales, seeds), a part of which is common to all scales."""
    common = rng.standard_normal((*shape[:-2], 1, shape[-1]))
    return np.asarray(np.sqrt(world.same_seed) * common + np.sqrt(1 - world.same_seed) * rng.standard_normal(shape))


def _apply_tail(normal: Array, tail: Tail) -> Array:
    """Transform standard normal values to mean 0, variance 1 and another distribution; correlations nearly stay."""
    match tail:
        case "t3":
            return np.asarray(special.stdtrit(3, special.ndtr(normal)) / np.sqrt(3))
        case "skewed":
            mean, variance = np.exp(_SKEW**2 / 2), np.exp(_SKEW**2) * (np.exp(_SKEW**2) - 1)
            return np.asarray((mean - np.exp(_SKEW * normal)) / np.sqrt(variance))
    return normal


def _subtract_reference(covariance: Array) -> Array:
    """Return the covariance (2, 2) of the groupings' differences from the reference, the first of three arms."""
    contrast = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    return np.asarray(contrast @ covariance @ contrast.T)


def _draw_sums(rng: np.random.Generator, covariance: Array, df: Array, shape: tuple[int, int, int]) -> Array:
    """Return both diagonal elements of Wishart matrices, as (repetitions, tasks, groupings, scales).

    Args:
        rng: Random generator.
        covariance: (2, 2) covariance of one degree of freedom.
        df: (tasks, 1) degrees of freedom, above 1.
        shape: Repetitions, tasks and scales.
    """
    sds = np.sqrt(np.diag(covariance))
    correlation = covariance[0, 1] / (sds[0] * sds[1]) if sds.all() else 0.0
    left = np.sqrt(1 - correlation**2)
    first = rng.chisquare(df, shape)
    # The second sum given the first: Bartlett's decomposition of the matrix.
    second = (correlation * np.sqrt(first) + left * rng.standard_normal(shape)) ** 2
    second += left**2 * rng.chisquare(df - 1, shape)
    return np.asarray(np.stack([first * sds[0] ** 2, second * sds[1] ** 2], axis=2))


def _reduce_tables(world: World, rng: np.random.Generator, effects: Array, subjects: int) -> Cells:
    """Return the statistics of tables whose subjects' effects and residuals have Student's t with 3 df.

    Args:
        world: Random variation.
        rng: Random generator.
        effects: Effects of runs (repetitions, tasks, arms, scales, seeds).
        subjects: Number of subjects of every task.
    """
    from usaggr.statistics.two_way_anova import compute_mean_squares

    unit = np.sqrt(3.0)
    by_subject = rng.standard_t(3, (*effects.shape[:-1], 1, subjects)) * (world.subject_sd / unit)
    tables = rng.standard_t(3, (*effects.shape, subjects))
    tables *= world.residual_sd / unit
    tables += by_subject
    tables += effects[..., None]
    differences = tables[:, :, 1:] - tables[:, :, :1]
    squares = compute_mean_squares(differences)
    columns = np.full((effects.shape[1], 1, 1), float(subjects))
    value = differences.mean(axis=(-2, -1))
    return Cells(value, squares.seeds, squares.subjects, squares.residual, squares.n_seeds, columns)
