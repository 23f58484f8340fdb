"""No loss on the AUC where a few positives are ranked last: a section of docs/too_few.md (rules.py writes it).

Positives are the rarer class. Subjects have one image each. Under the grouping, a share of the positives gets the
lowest score; in all other respects the groupings are alike. If r of the positives fail, the AUC falls to (1 - r) of the
reference's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.evidence.families import select_estimates
from benchmarks.evidence.marks import Share, format_shares, is_met
from benchmarks.generated import table
from usaggr.metrics.jackknife import compute_auc_pseudovalues
from usaggr.statistics.minimum_evidence import has_few_differing
from usaggr.statistics.two_way_anova import estimate
from usaggr.statistics.unseen_failures import compute_p_with_failures, count_subjects_needed, find_excluded_rate
from usaggr.statistics.verdicts import ALPHA_NI

Array = NDArray[np.float64]
POSITIVES, SEEDS, MARGIN = (12, 30, 60, 150, 300), (3, 5), 0.02
MOST_FALSE = 0.025
NEGATIVES = 3
"""Number of negatives for each positive."""


@dataclass(frozen=True)
class AucWorld:
    """A binary classification whose scores are normal in both classes."""

    name: str
    auc: float
    """AUC of the reference."""
    failure_rate: float
    """Share of the positives that are ranked last under the grouping."""
    noise: float = 0.3
    """Standard deviation of a subject's score between runs. Within a class it is 1 in total."""

    @property
    def loss(self) -> float:
        """True loss of AUC."""
        return self.failure_rate * self.auc


WORLDS = (
    AucWorld("2.25 % ranked last, AUC .9", 0.9, 0.0225),
    AucWorld("4 % ranked last, AUC .9", 0.9, 0.04),
    AucWorld("6 % ranked last, AUC .9", 0.9, 0.06),
    AucWorld("2.25 % ranked last, AUC .97, little noise", 0.97, 0.0225, noise=0.1),
    AucWorld("4 % ranked last, AUC .8", 0.8, 0.04),
)
"""The failures of the first and the fourth world cost little more than the margin."""


@dataclass(frozen=True)
class MeasuredAuc:
    """Shares of the simulated studies of one world with one number of seeds and of positives."""

    world: AucWorld
    seeds: int
    positives: int
    refused: Share
    """With the note `too few`."""
    no_loss: Share
    """With a no loss. It is always qualified."""
    as_mean: Share
    """With a no loss that the rule for means over subjects would not qualify."""

    @property
    def is_excluded(self) -> bool:
        """True if the failures are more frequent than a qualified no loss excludes, so that it must not be given."""
        return self.world.failure_rate > 1 / find_excluded_rate(self.positives)


def measure_auc(
    repetitions: int, worlds: Sequence[AucWorld] = WORLDS, positives: Sequence[int] = POSITIVES
) -> list[MeasuredAuc]:
    """Return the results of each world, number of seeds and number of positives.

    Args:
        repetitions: Number of simulated studies of each.
        worlds: Worlds to simulate.
        positives: Numbers of subjects of the rarer class.
    """
    measured = []
    for index, world in enumerate(worlds):
        for seeds in SEEDS:
            for number in positives:
                rng = np.random.default_rng((3, index, seeds, number))
                outcomes = _judge(world, rng, repetitions, seeds, number)
                shares = [Share(int(outcome.sum()), repetitions) for outcome in outcomes]
                measured.append(MeasuredAuc(world, seeds, number, *shares))
    return measured


def _judge(
    world: AucWorld, rng: np.random.Generator, studies: int, seeds: int, positives: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which studies are refused, have a no loss, and have one that the rule for means would not qualify.

    Args:
        world: World to simulate.
        rng: Random generator.
        studies: Number of studies.
        seeds: Number of seeds.
        positives: Number of positives.
    """
    references, scores = np.moveaxis(
        np.array([_draw_pseudovalues(world, rng, seeds, positives) for _ in range(studies)]), 1, 0
    )
    judged, costs = estimate(scores - references), references.mean(axis=(-2, -1))
    refused = has_few_differing(scores - references)
    no_loss = (judged.compute_one_sided_p(-MARGIN) < ALPHA_NI) & ~refused
    as_mean = no_loss & (positives >= np.array([count_subjects_needed(cost, MARGIN) for cost in costs]))
    if as_mean.any():
        count = int(as_mean.sum())
        selected = select_estimates(judged, as_mean)
        p = compute_p_with_failures(selected, [MARGIN] * count, costs[as_mean].tolist(), [positives] * count)
        as_mean[as_mean] = p < ALPHA_NI
    return refused, no_loss, as_mean


def _draw_pseudovalues(world: AucWorld, rng: np.random.Generator, seeds: int, positives: int) -> Array:
    """Return the pseudo-values (2, seeds, subjects) of the reference and of the grouping.

    Args:
        world: World to simulate.
        rng: Random generator.
        seeds: Number of seeds.
        positives: Number of positives.
    """
    labels = np.repeat([1, 0], [positives, NEGATIVES * positives])
    # The difference of two scores has a variance of 2.
    level = np.sqrt(2) * special.ndtri(world.auc) * labels
    effects = np.sqrt(1 - world.noise**2) * rng.standard_normal(labels.size)
    has_failed = (rng.random(labels.size) < world.failure_rate) & (labels == 1)
    arms, subjects = [], np.arange(labels.size)
    for fails in (np.zeros_like(has_failed), has_failed):
        scores = level + effects + world.noise * rng.standard_normal((seeds, labels.size))
        probabilities = special.expit(np.where(fails, -20.0, scores))
        arms.append([compute_auc_pseudovalues(labels, np.stack([1 - p, p], axis=1), subjects) for p in probabilities])
    return np.array(arms, dtype=float)


def write_section(measured: Sequence[MeasuredAuc]) -> tuple[str, list[str]]:
    """Return the section of the page, and the shares that miss their bound."""
    misses, lines = [], []
    for row in measured:
        is_missed = row.is_excluded and not is_met(row.no_loss, MOST_FALSE)
        if is_missed:
            misses.append(f"{row.world.name}, {row.seeds} seeds, {row.positives} positives: no loss")
        no_loss = format_shares([(row.no_loss, "misses" if is_missed else "")])
        lines.append([
            row.world.name, f"{row.world.loss:.3f}", str(row.seeds), str(row.positives),
            f"{100 * row.refused.estimate:.0f}", f"1 in {find_excluded_rate(row.positives)}",
            no_loss if row.is_excluded else f"[{no_loss}]", format_shares([(row.as_mean, "")]),
        ])  # fmt: skip
    header = ["world", "true loss", "seeds", "positives", "refused, %", "excluded rate", "no loss, qualified, %",
              "by the rule for means, %"]  # fmt: skip
    studies = max(row.no_loss.total for row in measured)
    return f"{_OPENING.format(studies=studies, negatives=NEGATIVES).strip()}\n\n{table(header, lines)}", misses


_OPENING = """
## Rare failures and AUC

A share of the positives is ranked last under the grouping, in {studies:,} studies per cell with {negatives} negatives
for each positive. The loss exceeds the margin of .02, so that every no loss is false. For AUC it is always qualified:
failures among the positives are not excluded if they are rarer than 1 in N. Required: at most 2.5 % where they are
more frequent (otherwise in brackets). The last column shows how often the rule for means over subjects would give a no
loss without the note.
"""
