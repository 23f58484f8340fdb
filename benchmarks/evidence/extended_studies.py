"""Simulated studies that get more seeds later: the finished seeds and the test subjects stay the same.

As in component_worlds.py, only the statistics that judge a difference are drawn. Let a subject's mean over the finished
seeds, without the mean over subjects, be a = u + e1: the subject's own effect and its mean residual. With new seeds,
whose mean residual is e2, it becomes a - m / n (e1 - e2), where m of n seeds are new. Given a, the difference e1 - e2
is normal. The sums of squares of the longer study therefore follow from those of the shorter one, two normal values and
two chi-squares.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.component_worlds import Cells, World, draw_factors, draw_seed_effects

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Studies:
    """Studies with what a later extension needs, in arrays (repetitions, tasks, groupings, scales).

    The sums of squares of the two groupings are drawn independently of each other, although both contain the reference:
    a family of verdicts is judged for one grouping alone. Its means and mean squares between seeds are not independent
    of the other grouping's.
    """

    world: World
    subjects: int
    factors: Array
    """Factors on the seeds' standard deviation (repetitions, tasks, arms, scales)."""
    by_seed: Array
    """Mean difference of each seed, in a last axis."""
    common: Array
    """Mean over test subjects of their own effects, which all seeds share."""
    subject_sum: Array
    """Sum of squares of subjects' means over the seeds."""
    residual_sum: Array
    """Sum of squares of the residual."""

    @property
    def seeds(self) -> int:
        """Number of seeds of each study."""
        return int(self.by_seed.shape[-1])

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Studies":
        """Return the chosen studies; `chosen` has their positions, or a truth value for each."""
        return replace(
            self,
            factors=self.factors[chosen],
            by_seed=self.by_seed[chosen],
            common=self.common[chosen],
            subject_sum=self.subject_sum[chosen],
            residual_sum=self.residual_sum[chosen],
        )

    def summarize(self) -> Cells:
        """Return the sufficient statistics of the differences."""
        df = self.subjects - 1
        return Cells(
            self.by_seed.mean(axis=-1),
            self.subjects * self.by_seed.var(axis=-1, ddof=1),
            self.seeds * self.subject_sum / df,
            self.residual_sum / ((self.seeds - 1) * df),
            self.seeds,
            np.full((self.factors.shape[1], 1, 1), float(self.subjects)),
        )


def join_cells(first: Cells, second: Cells) -> Cells:
    """Return the statistics of the studies of both, which have equally many seeds and subjects."""
    return Cells(
        np.concatenate([first.value, second.value]),
        np.concatenate([first.seeds, second.seeds]),
        np.concatenate([first.subjects, second.subjects]),
        np.concatenate([first.residual, second.residual]),
        first.n_seeds,
        first.n_subjects,
    )


def compute_variances(world: World) -> tuple[float, float]:
    """Return the variances of a difference between subjects and of its residual: of two arms, each with its own."""
    return 2 * world.subject_sd**2, 2 * world.residual_sd**2


def draw_studies(world: World, rng: np.random.Generator, factors: Array, seeds: int) -> Studies:
    """Simulate null studies.

    Args:
        world: Random variation, with one number of subjects and normal effects of subjects.
        rng: Random generator.
        factors: Factors (repetitions, tasks, arms, scales) from `draw_factors`.
        seeds: Number of seeds, from 2.

    Raises:
        ValueError: The world has several numbers of subjects, or effects of subjects that are not normal.
    """
    if len(world.subjects) > 1 or world.subject_tail != "normal":
        raise ValueError(f"{world.name}: needs one number of subjects and normal effects of subjects")
    subjects = world.subjects[0]
    subject_variance, residual_variance = compute_variances(world)
    effects = world.subject_sd * rng.standard_normal(factors.shape) / np.sqrt(subjects)
    common = effects[:, :, 1:] - effects[:, :, :1]
    by_seed = common[..., None] + _draw_by_seed(world, rng, factors, seeds)
    df = subjects - 1
    subject_sum = (subject_variance + residual_variance / seeds) * rng.chisquare(df, common.shape)
    residual_sum = residual_variance * rng.chisquare((seeds - 1) * df, common.shape)
    return Studies(world, subjects, factors, by_seed, common, subject_sum, residual_sum)


def extend_studies(studies: Studies, rng: np.random.Generator, seeds: int) -> Studies:
    """Return the studies with more seeds on the same test subjects.

    Args:
        studies: Studies whose seeds are kept.
        rng: Random generator.
        seeds: Number of seeds afterwards, above the current one.
    """
    first, df = studies.seeds, studies.subjects - 1
    new = seeds - first
    subject_variance, residual_variance = compute_variances(studies.world)
    added = _draw_by_seed(studies.world, rng, studies.factors, new) + studies.common[..., None]
    shape = studies.common.shape
    # The regression of e1 - e2 on a, and the variance that remains.
    slope = residual_variance / first / (subject_variance + residual_variance / first)
    remaining = residual_variance * ((1 - slope) / first + 1 / new)
    product = np.sqrt(studies.subject_sum * remaining) * rng.standard_normal(shape)
    square = product**2 / studies.subject_sum + remaining * rng.chisquare(df - 1, shape)
    share = new / seeds
    weight = 1 - slope * share
    subject_sum = weight**2 * studies.subject_sum - 2 * weight * share * product + share**2 * square
    contrast = slope**2 * studies.subject_sum + 2 * slope * product + square
    residual_sum = studies.residual_sum + first * share * contrast
    if new > 1:
        residual_sum = residual_sum + residual_variance * rng.chisquare((new - 1) * df, shape)
    by_seed = np.concatenate([studies.by_seed, added], axis=-1)
    return replace(studies, by_seed=by_seed, subject_sum=subject_sum, residual_sum=residual_sum)


def draw_planned(world: World, rng: np.random.Generator, repetitions: int, tasks: int, seeds: int) -> Studies:
    """Simulate null studies with factors of their own.

    Args:
        world: Random variation.
        rng: Random generator.
        repetitions: Number of studies.
        tasks: Number of tasks of a study.
        seeds: Number of seeds, from 2.
    """
    return draw_studies(world, rng, draw_factors(world, rng, repetitions, tasks), seeds)


def _draw_by_seed(world: World, rng: np.random.Generator, factors: Array, seeds: int) -> Array:
    """Return the mean difference of each seed (repetitions, tasks, groupings, scales, seeds) without subjects' effects.

    Args:
        world: Random variation.
        rng: Random generator.
        factors: Factors (repetitions, tasks, arms, scales).
        seeds: Number of seeds.
    """
    repetitions, tasks = factors.shape[:2]
    effects = draw_seed_effects(world, rng, repetitions, tasks, seeds, factors)
    effects = effects + world.residual_sd * rng.standard_normal(effects.shape) / np.sqrt(world.subjects[0])
    return np.asarray(effects[:, :, 1:] - effects[:, :, :1])
