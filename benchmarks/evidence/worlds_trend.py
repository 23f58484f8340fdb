"""Simulated sweeps over several scales, for claim (a): does the effect of sharing depend on the amount of data?

    python -m benchmarks.evidence.worlds_trend [--repetitions 500] [--only WORD]

A world says how the unified model's error depends on the reference's at each scale. The worlds of the first kind are
those of an independent review of the evidence; the others are further ones of the same kinds. A world is *removable* if
a monotone transformation of the score makes the difference equal at all scales, or if there is no difference. In such a
world the claim should be supported in at most 5 % of the studies.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.marks import CONFIDENCE
from benchmarks.evidence.verdicts import judged_cells
from benchmarks.generated import table
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.difference_intervals import moderate_sums
from usaggr.analysis.pseudovalues import TaskPseudovalues
from usaggr.analysis.subsets import TestFold
from usaggr.analysis.weighted_sums import NOT_ESTIMATED, ComparedCells
from usaggr.metrics.names import get_metric
from usaggr.report.claims.tables import make_claims
from usaggr.report.scale.slopes import TRANSFORMED, estimate_slopes
from usaggr.results.data_description import DataFacts, TaskFacts
from usaggr.results.plan import PlanRow
from usaggr.results.run_result import Cost, RunResult
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.claims import BOUND, Claim, Quantity, decide_scale_dependence
from usaggr.statistics.effect_units import (
    LEAST_SKILL,
    Array,
    compute_log_error_pseudovalues,
    compute_log_skill_pseudovalues,
)
from usaggr.statistics.joint_tables import WeightedTable, make_joint_table
from usaggr.statistics.scale_trend import SignChange, compute_slope_weights, find_sign_change, has_enough_span
from usaggr.statistics.two_way_anova import Estimate, estimate
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "thyroid_nodule", "fetal_head", "cervix", "lung", "ovary_tumor")
TRIVIAL = 0.3
"""DSC of the predictor that ignores the image."""
ERROR_AT_FULL = 0.2
"""Error (1 - DSC) of the reference at the largest scale."""
DECAY = 0.3
"""Exponent of the reference's learning curve: error ~ training samples ** -DECAY."""
SAMPLES = 1000
"""Training samples of a task at scale 1."""
TWO, FOUR = (0.25, 1.0), (0.1, 0.25, 0.5, 1.0)
"""Scales of a study."""
Kind = Literal["removable", "one end", "both", "crossing"]
"""Removable; equal at one end of the scales (floor, ceiling); a change in skill and in log error; a change of sign."""
Errors = Callable[[Array, Array], tuple[Array, Array]]
"""Function from (n,) scales and (n,) errors of the learning curve to the errors of reference and unified model."""


@dataclass(frozen=True)
class TrendWorld:
    """A world of learning curves, with the standard deviations of DSC around them."""

    name: str
    kind: Kind
    errors: Errors
    scales: tuple[float, ...] = TWO
    seeds: int = 3
    subjects: int = 100
    seed_sd: float = 0.015
    """Standard deviation between runs."""
    shared_seed: float = 0.0
    """Share of the unified model's variance between runs that all its tasks have in common."""
    small_scale_factor: float = 1.0
    """Factor of `seed_sd` at the smallest scale."""
    spread: float = 1.0
    """Largest ratio of a task's errors to those of the learning curve; the smallest is its inverse."""


def list_worlds() -> list[tuple[str, Kind, Errors]]:
    """Return the name, the kind and the errors of each world."""
    return [*_list_review_worlds(), *_list_further_worlds()]


def _list_review_worlds() -> list[tuple[str, Kind, Errors]]:
    """Return the worlds of the review (its table 10)."""
    return [
        ("equal", "removable", lambda scales, errors: (errors, errors)),
        ("additive +.03", "removable", lambda scales, errors: (errors, errors - 0.03)),
        ("error x .85", "removable", lambda scales, errors: (errors, 0.85 * errors)),
        ("error x 1.15", "removable", lambda scales, errors: (errors, 1.15 * errors)),
        ("ceiling: both reach 1 - floor at full", "one end",
         lambda scales, errors: (errors, ERROR_AT_FULL + 0.8 * (errors - ERROR_AT_FULL))),
        ("floor: nothing learned at the smallest scale", "one end",
         lambda scales, errors: (_start_at_floor(errors), _start_at_floor(0.85 * errors))),
    ]  # fmt: skip


def _list_further_worlds() -> list[tuple[str, Kind, Errors]]:
    """Return further worlds of each kind."""
    return [
        ("logit of DSC + .25", "removable", lambda scales, errors: (errors, _shift_logit(errors, 0.25))),
        ("error to the power 1.15", "removable", lambda scales, errors: (errors, errors**1.15)),
        ("additive -.03", "removable", lambda scales, errors: (errors, errors + 0.03)),
        ("skill x 1.1", "removable", lambda scales, errors: (errors, 0.7 - 1.1 * (0.7 - errors))),
        ("skill x .85", "removable", lambda scales, errors: (errors, 0.7 - 0.85 * (0.7 - errors))),
        ("gain of .08 at the smallest scale, 0 at full", "both",
         lambda scales, errors: (errors, errors - 0.08 * _fade(scales))),
        ("loss of .08 at the smallest scale, 0 at full", "both",
         lambda scales, errors: (errors, errors + 0.08 * _fade(scales))),
        ("gain of .02 at the smallest scale, .08 at full", "both",
         lambda scales, errors: (errors, errors - 0.08 + 0.06 * _fade(scales))),
        ("crossing: -.04 to +.04", "crossing", lambda scales, errors: (errors, errors + 0.08 * _fade(scales) - 0.04)),
        ("crossing: +.06 to -.06", "crossing", lambda scales, errors: (errors, errors - 0.12 * _fade(scales) + 0.06)),
        ("crossing: -.08 to +.02", "crossing", lambda scales, errors: (errors, errors + 0.10 * _fade(scales) - 0.02)),
    ]  # fmt: skip


def _start_at_floor(errors: Array) -> Array:
    """Return the errors with that of the trivial predictor at the smallest scale, which comes first."""
    return np.concatenate([[1 - TRIVIAL], errors[1:]])


def _shift_logit(errors: Array, shift: float) -> Array:
    return np.asarray(1 / (1 + (1 - errors) / errors * np.exp(shift)))


def _fade(scales: Array) -> Array:
    """Return 1 at the smallest scale and 0 at the largest, linear in the logarithm of the scale."""
    return np.asarray(np.log(scales[-1] / scales) / np.log(scales[-1] / scales[0]))


def draw_scores(world: TrendWorld, rng: np.random.Generator) -> Array:
    """Return simulated DSC (2 groupings, T tasks, S scales, K seeds, N subjects), those of the reference first.

    Args:
        world: Learning curves and random variation.
        rng: Random generator.
    """
    scales = np.array(world.scales)
    curves = np.stack(world.errors(scales, ERROR_AT_FULL * scales**-DECAY))
    shape = (2, len(TASKS), scales.size, world.seeds, world.subjects)
    sds = world.seed_sd * np.where(np.arange(scales.size) == 0, world.small_scale_factor, 1.0)
    factors = np.geomspace(1 / world.spread, world.spread, len(TASKS))
    common, alone = rng.standard_normal((1, *shape[2:4])), rng.standard_normal(shape[:4])
    # Only the unified model has one run for all tasks.
    shared = np.array([0.0, world.shared_seed])[:, None, None, None]
    runs = sds[:, None] * (np.sqrt(shared) * common + np.sqrt(1 - shared) * alone)
    subjects = 0.1 * rng.standard_normal((1, shape[1], 1, 1, shape[4]))
    arms = 0.05 * rng.standard_normal((*shape[:3], 1, shape[4]))
    noise = runs[..., None] + subjects + arms + 0.05 * rng.standard_normal(shape)
    errors = factors[:, None] * curves[:, None, :]
    return np.asarray(1 - errors[..., None, None] + noise)


def make_collection(world: TrendWorld, scores: Array) -> Collection:
    """Return a finished sweep with these scores, with models per task and one for all tasks.

    Args:
        world: World of the scores.
        scores: Result of `draw_scores`.
    """
    runs = []
    for i, scale in enumerate(world.scales):
        for grouping, arm in zip(("task_specific", "unified"), scores, strict=True):
            blocks = [TASKS] if grouping == "unified" else [(task,) for task in TASKS]
            for seed in range(world.seeds):
                for block in blocks:
                    name = f"{grouping}-{block[0]}-s{scale}-k{seed}"
                    row = PlanRow(name, block[0], (grouping,), block, scale, seed, "base", name)
                    values = {task: arm[TASKS.index(task), i, seed] for task in block}
                    runs.append(_make_run(row, values, scale))
    return _make_collection(world, tuple(runs))


def _make_run(row: PlanRow, values: dict[str, Array], scale: float) -> CollectedRun:
    """Return a finished run.

    Args:
        row: Row of the plan.
        values: DSC of each subject by task.
        scale: Share of SAMPLES that the run is trained with.
    """
    pseudovalues = {task: TaskPseudovalues({"dsc": dsc}, None) for task, dsc in values.items()}
    scores = {task: {"dsc": float(dsc.mean())} for task, dsc in values.items()}
    trivial = {task: {"dsc": TRIVIAL} for task in values}
    n_train = dict.fromkeys(values, round(SAMPLES * scale))
    counts = {task: dsc.size for task, dsc in values.items()}
    cost = Cost(1.0, 1.0, 1.0, 1.0, 1)
    result = RunResult(scores, trivial, scores, trivial, n_train, counts, counts, counts, cost)
    return CollectedRun(row, "done", None, result, pseudovalues=pseudovalues)


def _make_collection(world: TrendWorld, runs: tuple[CollectedRun, ...]) -> Collection:
    groupings = ("task_specific", "unified")
    seeds = tuple(range(world.seeds))
    study = StudyFacts("trend", groupings, groupings[0], world.scales, seeds, {"base": ()}, 0.95, ("png",), {})
    facts = {task: TaskFacts(CATALOGUE[task], SAMPLES, 12, world.subjects, world.subjects) for task in TASKS}
    subjects = np.arange(world.subjects)
    folds = {task: TestFold(subjects + i * world.subjects, None) for i, task in enumerate(TASKS)}  # type: ignore[arg-type]
    return Collection((Path("trend"),), study, DataFacts("", "", "", facts, (), 0, (), {}), runs, 0, folds)


def decide_by_report(world: TrendWorld, scores: Array) -> Claim:
    """Return claim (a) within tasks, decided by the code of a report.

    Args:
        world: World of the scores.
        scores: Result of `draw_scores`.
    """
    comparison = compare_study(make_collection(world, scores), main_only=True)
    planned = [cell for cell in comparison.verdicts if cell.main]
    cells = judged_cells(comparison)
    compared = ComparedCells(cells, planned, comparison.weighted_sums, comparison.study.confidence)
    claims = make_claims(comparison.study, compared, estimate_slopes(compared, levels=["all"]), [])["base"]
    return next(claim for claim in claims if (claim.letter, claim.comparison) == ("a", "AU, within tasks"))


def decide(world: TrendWorld, scores: Array) -> tuple[Claim, list[Quantity], bool]:
    """Return claim (a) within tasks without the report's tables, which take 20 times as long.

    Args:
        world: World of the scores.
        scores: Result of `draw_scores`.

    Returns:
        Claim, the slopes of all cells in skill, log error and log skill, and whether a cell is at the floor.
    """
    skills = (scores - TRIVIAL) / (1 - TRIVIAL)
    at_floor = (skills.mean(axis=(-2, -1)) < LEAST_SKILL).all(axis=0)
    units = [skills[1] - skills[0], np.empty_like(skills[0]), np.empty_like(skills[0])]
    for cell in np.ndindex(at_floor.shape):
        units[1][cell] = compute_log_error_pseudovalues(scores[1][cell], scores[0][cell], get_metric("dsc"))
        units[2][cell] = compute_log_skill_pseudovalues(skills[1][cell], skills[0][cell])
    slopes = [_estimate_slope(world, unit, np.zeros_like(at_floor)) for unit in units]
    above_floor = [_estimate_slope(world, unit, at_floor) for unit in units] if at_floor.any() else slopes
    transformed = dict(zip(TRANSFORMED.values(), above_floor[1:], strict=True))
    claim = decide_scale_dependence("AU", "slope", above_floor[0], transformed, _find_sign_change(world, units))
    return claim, slopes, bool(at_floor.any())


def _estimate_slope(world: TrendWorld, differences: Array, left_out: NDArray[np.bool_]) -> Quantity:
    """Return the mean slope over tasks.

    Args:
        world: World of the differences.
        differences: Pseudo-values (T tasks, S scales, K seeds, N subjects) in one unit.
        left_out: (T, S) cells without which the slope is estimated.
    """
    parts = []
    for task, row in enumerate(differences):
        sizes = SAMPLES * np.array(world.scales)[~left_out[task]]
        if has_enough_span(sizes):
            weighted = np.tensordot(compute_slope_weights(sizes), row[~left_out[task]], axes=1)
            parts.append((task, weighted))
    if not parts:
        return NOT_ESTIMATED
    return _bound(estimate(_join(world, parts)), CONFIDENCE)


def _bound(mean: Estimate, confidence: float) -> Quantity:
    """Return an estimate with its interval, without the p value, which takes longest."""
    low, high = mean.compute_interval(confidence)
    return Quantity(float(mean.value), float(low), float(high))


def _find_sign_change(world: TrendWorld, units: Sequence[Array]) -> SignChange | None:
    means = units[0].mean(axis=(0, 2, 3))
    if not (means.max() > 0 > means.min()):
        return None  # a shortcut: intervals contain their means
    confidence = 1 - (1 - CONFIDENCE) / (len(world.scales) - 1)
    intervals: dict[float | int, list[tuple[float, float]]] = {scale: [] for scale in world.scales}
    for differences in units:
        tables: dict[tuple[Any, ...], Array] = {
            (scale,): _join(world, list(enumerate(differences[:, i]))) for i, scale in enumerate(world.scales)
        }
        moderated = moderate_sums(tables)
        for (scale,), difference in moderated.items():
            quantity = _bound(difference.estimate, confidence)
            intervals[scale].append((quantity.low, quantity.high))
    return find_sign_change(intervals)


def _join(world: TrendWorld, parts: Sequence[tuple[int, Array]]) -> Array:
    """Return the joint table of the mean over tasks, each given as its index and its (K, N) table."""
    ids = np.arange(world.subjects)
    return make_joint_table(
        [WeightedTable(values, ids + task * world.subjects, 1 / len(parts)) for task, values in parts]
    )


def judge_study(world: TrendWorld, rng: np.random.Generator) -> Counter[str]:
    """Count what is decided on claim (a) in a simulated study, and what slopes in skill alone would decide.

    Args:
        world: World from which the study is drawn.
        rng: Random generator.
    """
    claim, (skill, log_error, log_skill), has_floor = decide(world, draw_scores(world, rng))
    is_small = skill.low > -BOUND and skill.high < BOUND
    counts = Counter({f"new {claim.verdict}": 1})
    counts["by a change of sign"] = int(claim.verdict == "supported" and "changes its sign" in claim.reason)
    counts["old supported"] = int(skill.sign != 0 and not is_small)
    counts["log error excludes 0"] = int(log_error.sign != 0)
    counts["asked"] = int(not is_small and skill.sign != 0 and skill.sign == log_error.sign)
    counts["log skill excludes 0"] = int(log_skill.sign != 0)
    counts["noted floor"] = int(has_floor)
    return counts


def measure(repetitions: int, seed: int, only: str = "") -> list[list[str]]:
    """Return a row for each world, number of scales and number of seeds.

    Args:
        repetitions: Number of simulated studies.
        seed: Seed of the random generators.
        only: Part of the names of the worlds to simulate; empty for all.
    """
    table_rows = []
    for name, kind, errors in list_worlds():
        for scales in (TWO, FOUR):
            for seeds in (3, 5):
                if only in name and not (name.startswith("floor") and scales == TWO):
                    world = TrendWorld(name, kind, errors, scales, seeds)
                    table_rows.append(_measure_world(world, repetitions, seed))
    if not only:
        for world in list_varied_worlds():
            table_rows.append(_measure_world(world, repetitions, seed))
    return table_rows


def list_varied_worlds() -> list[TrendWorld]:
    """Return removable worlds whose random variation differs from that of the others."""
    errors = {name: errors for name, _, errors in list_worlds()}
    return [
        TrendWorld("error x .85, shared seeds", "removable", errors["error x .85"], FOUR, 5, shared_seed=0.8),
        TrendWorld(
            "error x .85, seeds vary x 3 at the smallest scale", "removable", errors["error x .85"], FOUR, 5,
            small_scale_factor=3.0,
        ),
        TrendWorld("error x .85, 30 subjects", "removable", errors["error x .85"], FOUR, 5, subjects=30),
        TrendWorld("error x .85, tasks x .5 to x 2", "removable", errors["error x .85"], FOUR, 5, spread=2.0),
        TrendWorld("additive +.03, tasks x .5 to x 2", "removable", errors["additive +.03"], FOUR, 5, spread=2.0),
    ]  # fmt: skip


def _measure_world(world: TrendWorld, repetitions: int, seed: int) -> list[str]:
    rng = np.random.default_rng([seed, len(world.scales), world.seeds, *world.name.encode()])
    total: Counter[str] = Counter()
    for _ in range(repetitions):
        total.update(judge_study(world, rng))
    share = total["new supported"] / repetitions
    error = float(np.sqrt(max(share * (1 - share), 1 / repetitions) / repetitions))
    columns = (
        "asked",
        "log error excludes 0",
        "log skill excludes 0",
        "new contradicted",
        "by a change of sign",
        "noted floor",
    )
    return [
        world.name, world.kind, str(len(world.scales)), str(world.seeds),
        f"{100 * total['old supported'] / repetitions:.1f}", f"{100 * share:.1f} ± {100 * error:.1f}",
        *(f"{100 * total[name] / repetitions:.1f}" for name in columns),
    ]  # fmt: skip


COLUMNS = (
    "what sharing does", "kind", "scales", "seeds", "supported by skill alone", "supported ± s.e.",
    "by skill and log error", "slope of log error excludes 0", "of log skill", "contradicted",
    "supported by a change of sign", "floor noted",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of all worlds."""
    parser = argparse.ArgumentParser(description="Measure how often claim (a) is supported in simulated sweeps.")
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--only", default="", help="part of the names of the worlds")
    options = parser.parse_args(arguments)
    print(table(COLUMNS, measure(options.repetitions, 22, options.only)))
    return 0


if __name__ == "__main__":
    main()
