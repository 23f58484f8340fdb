"""Simulated worlds for the rules on too little evidence and on failures that no test subject shows.

A world draws the scores of every test sample under a grouping and under the reference. The first worlds of each kind
are rebuilt from the descriptions of an independent review; the others are further ones of the same kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Score = Callable[[np.random.Generator, int, int, int, Array], tuple[Array, Array]]
"""Function from generator, repetitions, seeds, subjects and (N,) subject of each sample to the scores of the samples
under the grouping and under the reference, both (repetitions, seeds, N)."""
Sizes = Callable[[np.random.Generator, int], NDArray[np.int64]]
"""Function from generator and number of subjects to each subject's number of samples."""


@dataclass(frozen=True)
class EvidenceWorld:
    """A simulated task whose score is a mean over samples."""

    name: str
    draw_scores: Score
    draw_sizes: Sizes
    higher_is_better: bool = True
    failure_rate: float = 0.0
    """Share of the subjects that fail under the grouping."""
    failure_loss: float = 0.0
    """Mean loss of a subject that fails."""

    @property
    def mean_loss(self) -> float:
        """Loss of the mean score over all subjects, at least 0."""
        return self.failure_rate * self.failure_loss


def _draw_one(rng: np.random.Generator, subjects: int) -> NDArray[np.int64]:
    return np.ones(subjects, dtype=np.int64)


def _draw_uniform(rng: np.random.Generator, subjects: int, most: int) -> NDArray[np.int64]:
    return rng.integers(1, most + 1, subjects)


def _draw_short(rng: np.random.Generator, subjects: int, most: int) -> NDArray[np.int64]:
    """Draw numbers of samples n with probabilities in proportion to 1 / n**2.

    With up to 40 samples, the effective number of subjects (Kish) is about a third of their number.
    """
    weights = 1 / np.arange(1, most + 1) ** 2
    return np.asarray(rng.choice(np.arange(1, most + 1), subjects, p=weights / weights.sum()), dtype=np.int64)


def _draw_geometric(rng: np.random.Generator, subjects: int, mean: float) -> NDArray[np.int64]:
    return np.asarray(rng.geometric(1 / mean, subjects), dtype=np.int64)


def _score_errors(
    rng: np.random.Generator, repetitions: int, seeds: int, subjects: int, owners: Array, *, sd: float,
    correlation: float, noise: float = 0.2, gross_rate: float = 0.0, gross_factor: float = 1.0, step: float = 0.0,
) -> tuple[Array, Array]:  # fmt: skip
    """Draw log-normal errors in pixels with a median of 10.

    Args:
        rng: Random generator.
        repetitions: Number of studies.
        seeds: Seeds per study.
        subjects: Subjects per study.
        owners: (N,) subject of each sample.
        sd: Standard deviation of the log error between subjects.
        correlation: Correlation of a subject's log errors under both groupings.
        noise: Standard deviation of the log error between runs on a sample.
        gross_rate: Share of the subjects whose error is multiplied under the grouping.
        gross_factor: Factor of these errors.
        step: Errors are rounded to multiples of this; 0: not rounded.
    """
    common = np.sqrt(correlation) * rng.standard_normal((repetitions, 1, subjects))
    arms = []
    for arm in range(2):
        alone = np.sqrt(1 - correlation) * rng.standard_normal((repetitions, 1, subjects))
        log_error = sd * (common + alone)[..., owners] + 0.02 * rng.standard_normal((repetitions, seeds, 1))
        log_error = log_error + noise * rng.standard_normal((repetitions, seeds, owners.size))
        if arm == 0 and gross_rate:
            log_error += np.log(gross_factor) * (rng.random((repetitions, 1, subjects)) < gross_rate)[..., owners]
        error = 10 * np.exp(log_error)
        arms.append(np.round(error / step) * step if step else error)
    return arms[0], arms[1]


def _score_overlaps(
    rng: np.random.Generator, repetitions: int, seeds: int, subjects: int, owners: Array, *, level: float = 0.85,
    subject_sd: float = 0.03, noise: float = 0.03, failure_rate: float = 0.0, failure_low: float = 0.0,
    failure_high: float = 0.05, failure_share: float = 1.0, seed_sd: float = 0.002,
) -> tuple[Array, Array]:  # fmt: skip
    """Draw DSC or IoU; under the grouping, some subjects fail, that is, their score becomes nearly 0 or low.

    Args:
        rng: Random generator.
        repetitions: Number of studies.
        seeds: Seeds per study.
        subjects: Subjects per study.
        owners: (N,) subject of each sample.
        level: Mean score of a subject that does not fail.
        subject_sd: Standard deviation between subjects that is specific to a grouping.
        noise: Standard deviation between runs on a sample.
        failure_rate: Share of the subjects that fail.
        failure_low: Lowest score of a failure.
        failure_high: Highest score of a failure.
        failure_share: Share of the seeds in which such a subject fails.
        seed_sd: Standard deviation between runs.
    """
    arms = []
    easiness = 0.04 * rng.standard_normal((repetitions, 1, subjects))
    for arm in range(2):
        effects = easiness + subject_sd * rng.standard_normal((repetitions, 1, subjects))
        score = level + effects[..., owners] + seed_sd * rng.standard_normal((repetitions, seeds, 1))
        score = score + noise * rng.standard_normal((repetitions, seeds, owners.size))
        if arm == 0 and failure_rate:
            is_prone = rng.random((repetitions, 1, subjects)) < failure_rate
            has_failed = is_prone & (rng.random((repetitions, seeds, subjects)) < failure_share)
            low = rng.uniform(failure_low, failure_high, (repetitions, seeds, subjects))
            score = np.where(has_failed[..., owners], low[..., owners], score)
        arms.append(np.clip(score, 0, 1))
    return arms[0], arms[1]


def _score_tails(
    rng: np.random.Generator, repetitions: int, seeds: int, subjects: int, owners: Array, *, level: float, sd: float
) -> tuple[Array, Array]:
    """Draw DSC as the logistic function of a normal variable, with a long tail towards 0.

    Args:
        rng: Random generator.
        repetitions: Number of studies.
        seeds: Seeds per study.
        subjects: Subjects per study.
        owners: (N,) subject of each sample.
        level: Mean of the normal variable.
        sd: Its standard deviation between subjects.
    """
    common = sd * np.sqrt(0.7) * rng.standard_normal((repetitions, 1, subjects))
    arms = []
    for _ in range(2):
        effects = common + sd * np.sqrt(0.3) * rng.standard_normal((repetitions, 1, subjects))
        logit = level + effects[..., owners] + 0.1 * rng.standard_normal((repetitions, seeds, 1))
        arms.append(1 / (1 + np.exp(-logit - 0.4 * rng.standard_normal((repetitions, seeds, owners.size)))))
    return arms[0], arms[1]


@cache
def list_sound_worlds() -> tuple[EvidenceWorld, ...]:
    """Return worlds without a true difference whose intervals hold, so that studies should be judged."""
    errors, overlaps, tails = _score_errors, _score_overlaps, _score_tails
    videos = partial(_draw_uniform, most=40)
    return (
        EvidenceWorld("landmarks, log-normal errors", partial(errors, sd=0.8, correlation=0.9), _draw_one, False),
        EvidenceWorld("videos of 1 to 40 frames, most short", overlaps, partial(_draw_short, most=40)),
        # From here on: further worlds.
        EvidenceWorld("videos of 1 to 40 frames, any length alike", overlaps, videos),
        EvidenceWorld("landmarks, errors vary more", partial(errors, sd=1.2, correlation=0.9), _draw_one, False),
        EvidenceWorld("landmarks, less alike", partial(errors, sd=0.6, correlation=0.5), _draw_one, False),
        EvidenceWorld(
            "landmarks in videos", partial(errors, sd=0.7, correlation=0.8), partial(_draw_uniform, most=20), False
        ),
        EvidenceWorld(
            "HD95 in whole pixels", partial(errors, sd=1.0, correlation=0.8, step=5.0), _draw_one, False
        ),
        EvidenceWorld("videos, geometric, mean 15", overlaps, partial(_draw_geometric, mean=15)),
        EvidenceWorld("skewed DSC, mean .80", partial(tails, level=1.9, sd=1.2), _draw_one),
        EvidenceWorld("near-ceiling DSC, mean .96", partial(tails, level=3.5, sd=0.6), _draw_one),
        EvidenceWorld("skewed DSC in videos", partial(tails, level=1.9, sd=1.2), videos),
    )  # fmt: skip


def _make_failures(name: str, rate: float, low: float = 0.0, high: float = 0.05, **settings: float) -> EvidenceWorld:
    """Return a world in which a share of the subjects fails under the grouping.

    Args:
        name: Name of the world.
        rate: Share of the subjects that fail.
        low: Lowest score of a failure.
        high: Highest score of a failure.
        settings: Further arguments of the scores.
    """
    score = partial(_score_overlaps, failure_rate=rate, failure_low=low, failure_high=high, **settings)
    loss = (settings.get("level", 0.85) - (low + high) / 2) * settings.get("failure_share", 1.0)
    return EvidenceWorld(name, score, _draw_one, failure_rate=rate, failure_loss=loss)


@cache
def list_failing_worlds() -> tuple[EvidenceWorld, ...]:
    """Return worlds with rare failures whose true loss exceeds a margin of .02."""
    return (
        _make_failures("3 % lost lesions", 0.03, level=0.9),
        # From here on: further worlds.
        _make_failures("2.5 % lost lesions, precise scores", 0.025, level=0.9, subject_sd=0.01, noise=0.01),
        _make_failures("4 % lost lesions, IoU .65", 0.04, level=0.65),
        _make_failures("5 % lose half", 0.05, 0.35, 0.5),
        _make_failures("8 % lose a third", 0.08, 0.5, 0.65),
        _make_failures("12 % lose a fifth", 0.12, 0.6, 0.74),
        _make_failures("4 % lost in 7 of 10 seeds", 0.04, level=0.9, failure_share=0.7),
    )
