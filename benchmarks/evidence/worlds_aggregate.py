"""Videos of unequal length: coverage of intervals for means over patients, and for means over frames.

Scores are aggregated as reports do by default (`report.aggregate=subject`: each patient counts once), and as earlier
versions did (`sample`: a patient counts by the number of its frames). The estimand is the mean over patients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.evidence.marks import CONFIDENCE
from usaggr.metrics.jackknife import compute_auc_pseudovalues, mean_pseudovalues
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS, has_few_differing, is_driven_by_few
from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]
Unit = Literal["subject", "sample"]
UNITS: tuple[Unit, ...] = ("sample", "subject")
LENGTHS = np.arange(1, 41)
"""Numbers of frames of a video."""
SUBJECTS = (12, 30, 60, 150)
SEEDS = (3, 5, 10)


@dataclass(frozen=True)
class VideoWorld:
    """World in which the effect of a grouping on a video may depend on the video's number of frames."""

    name: str
    shares: Array
    """(40,) probability of each of LENGTHS."""
    effect: Callable[[Array], Array]
    """True effect on a video, from its number of frames: on the score, or on the separation of classes."""
    kind: Literal["score", "auc"] = "score"
    seed_sd: float = 0.01
    subject_sd: float = 0.05
    """Standard deviation of the effect between videos of equal length."""
    frame_sd: float = 0.05
    """Standard deviation between the frames of a video, in one run."""

    def compute_truth(self, unit: Unit) -> float:
        """Return the true difference, as a mean over patients or over frames."""
        weights = self.shares * (LENGTHS if unit == "sample" else 1)
        values = self.effect(LENGTHS.astype(float))
        if self.kind == "auc":
            values = norm.cdf((_GAP + values) / _SPREAD) - norm.cdf(_GAP / _SPREAD)
        return float((weights * values).sum() / weights.sum())


_GAP, _SPREAD = 1.0, float(np.sqrt(2 * (1.0 + 0.5**2 + 0.5**2)))
"""Separation of two classes under the reference, and SD of the difference of two frames' scores (see `_draw_auc`)."""

_POSITIVE = 3
"""One of this many videos is of the rarer class."""


class Measured(NamedTuple):
    """Coverage of one world, with its number of studies, subjects and seeds."""

    world: str
    subjects: int
    seeds: int
    unit: Unit
    coverage: float
    """Share of all studies whose interval contains the true mean over patients."""
    refused: float
    """Share of studies without a verdict (`too few`)."""
    coverage_judged: float
    """Coverage among the other studies; NaN without any."""
    coverage_of_frames: float
    """Share of all studies whose interval contains the true mean over frames."""
    repetitions: int


def make_worlds() -> tuple[VideoWorld, ...]:
    """Return the worlds: the first two are those of the review of the evidence, the others vary them."""
    short = _make_shares(LENGTHS**-1.9)  # Kish's effective number of videos is .30 n
    two_lengths = _make_shares(np.where(LENGTHS == 1, 9.0, LENGTHS == 40))
    return (
        VideoWorld("informative, most videos short", short, lambda frames: 0.004 * frames),
        VideoWorld("not informative, most videos short", short, lambda frames: np.full_like(frames, 0.01)),
        VideoWorld("informative, uniform lengths", _make_shares(np.ones(40)), lambda frames: 0.004 * frames),
        VideoWorld("informative, 1 or 40 frames", two_lengths, lambda frames: 0.004 * frames),
        VideoWorld("harm to long videos", _make_shares(1 / LENGTHS), lambda frames: 0.02 - 0.03 * np.log(frames)),
        VideoWorld("AUC, informative", _make_shares(1 / LENGTHS), lambda frames: 0.03 * frames, "auc", 0.05),
        VideoWorld("AUC, not informative", _make_shares(1 / LENGTHS), lambda frames: np.full_like(frames, 0.2), "auc"),
    )


def measure(
    repetitions: int,
    seed: int,
    worlds: Sequence[VideoWorld] | None = None,
    subjects: Sequence[int] = SUBJECTS,
    seeds: Sequence[int] = SEEDS,
) -> list[Measured]:
    """Simulate studies of each world and return the coverage of their intervals with either unit.

    Args:
        repetitions: Studies of each world, number of subjects and number of seeds.
        seed: Seed of the simulation.
        worlds: Worlds. Default: all.
        subjects: Numbers of test subjects.
        seeds: Numbers of seeds.
    """
    return [
        measured
        for number, world in enumerate(make_worlds() if worlds is None else worlds)
        for n in subjects
        for k in seeds
        for measured in measure_size(world, np.random.default_rng([seed, number, n, k]), repetitions, n, k)
    ]


def measure_size(
    world: VideoWorld, rng: np.random.Generator, repetitions: int, subjects: int, seeds: int
) -> list[Measured]:
    """Simulate studies of one size and return the coverage of their intervals with each of UNITS.

    Args:
        world: The world.
        rng: Random generator.
        repetitions: Number of studies.
        subjects: Number of test subjects.
        seeds: Number of seeds.
    """
    drawn = [_draw(world, rng, subjects, seeds) for _ in range(repetitions)]
    return [_judge(world, unit, np.stack([tables[i] for tables in drawn])) for i, unit in enumerate(UNITS)]


def _draw(world: VideoWorld, rng: np.random.Generator, subjects: int, seeds: int) -> tuple[Array, Array]:
    """Return the (K, C) pseudo-values of one study's difference, for each of UNITS."""
    frames = rng.choice(LENGTHS, subjects, p=world.shares)
    place = np.repeat(np.arange(subjects), frames)
    weights = (1 / frames)[place]
    if world.kind == "auc":
        return _draw_auc(world, rng, frames, seeds)
    effect = world.effect(frames.astype(float)) + world.subject_sd * rng.standard_normal(subjects)
    tables: tuple[list[Array], list[Array]] = ([], [])
    for _ in range(seeds):
        noise = world.seed_sd * rng.standard_normal() + world.frame_sd * rng.standard_normal(place.size)
        values = effect[place] + noise
        tables[0].append(mean_pseudovalues(values, place))
        tables[1].append(mean_pseudovalues(values, place, weights))
    return np.stack(tables[0]), np.stack(tables[1])


def _draw_auc(
    world: VideoWorld, rng: np.random.Generator, frames: NDArray[np.int64], seeds: int
) -> tuple[Array, Array]:
    """Return the pseudo-values of a difference in AUC; a third of the videos are positive.

    Args:
        world: The world.
        rng: Random generator.
        frames: (C,) number of frames of each video.
        seeds: Number of seeds K.
    """
    subjects = frames.size
    place, positive = np.repeat(np.arange(subjects), frames), np.arange(subjects) < subjects // _POSITIVE
    labels, weights = positive[place].astype(np.int64), (1 / frames)[place]
    video = rng.standard_normal(subjects)
    tables: tuple[list[Array], list[Array]] = ([], [])
    for _ in range(seeds):
        arms = []
        for effect in (world.effect(frames.astype(float)), np.zeros(subjects)):
            gap = _GAP + effect + world.seed_sd * rng.standard_normal()
            score = (positive * gap + video + 0.5 * rng.standard_normal(subjects))[place]
            score += 0.5 * rng.standard_normal(place.size)
            arms.append(np.stack([-score, score], axis=1))
        for values, sample_weights in zip(tables, (None, weights), strict=True):
            grouping, reference = (compute_auc_pseudovalues(labels, arm, place, sample_weights) for arm in arms)
            assert grouping is not None
            assert reference is not None
            values.append(grouping - reference)
    return np.stack(tables[0]), np.stack(tables[1])


def _judge(world: VideoWorld, unit: Unit, tables: Array) -> Measured:
    """Return the coverage of the intervals of (R, K, C) tables.

    Args:
        world: The world, for its truth.
        unit: Unit of the tables.
        tables: Pseudo-values of R studies.
    """
    low, high = estimate(tables).compute_interval(CONFIDENCE)
    refused = has_few_differing(tables)
    if world.kind == "score":
        refused = refused | is_driven_by_few(tables)
    elif tables.shape[2] // _POSITIVE < FEWEST_SUBJECTS:
        refused = np.ones_like(refused)
    of_patients, of_frames = (world.compute_truth(truth_unit) for truth_unit in ("subject", "sample"))
    hits = (low <= of_patients) & (of_patients <= high)
    return Measured(
        world.name,
        tables.shape[2],
        tables.shape[1],
        unit,
        float(hits.mean()),
        float(refused.mean()),
        float(hits[~refused].mean()) if not refused.all() else float("nan"),
        float(((low <= of_frames) & (of_frames <= high)).mean()),
        len(tables),
    )


def _make_shares(weights: Array) -> Array:
    return np.asarray(weights / np.sum(weights), dtype=float)
