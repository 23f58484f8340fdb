"""Measure whether the numbers of seeds that reports name decide differences as promised; writes docs/seeds_needed.md.

    python -m benchmarks.evidence.seeds_needed [--repetitions 2000] [--quick] [--jobs 2] [--out docs/seeds_needed.md]

For an undecided cell, a report names the number of seeds with which a true difference of 0 would be no loss, and one of
the margin's size a gain or a loss, each with a probability of 80 %. Studies are drawn (extended_studies.py), judged,
extended to the number that they name, and judged again. The package's own functions estimate, plan and judge.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.component_worlds import Cells, World
from benchmarks.evidence.extended_studies import (
    Studies,
    compute_variances,
    draw_planned,
    draw_studies,
    extend_studies,
    join_cells,
)
from benchmarks.evidence.families import MARGIN, estimate_alone, estimate_cells, make_generator, select_estimates
from benchmarks.evidence.marks import Share
from usaggr.statistics.power import count_seeds_from_sds
from usaggr.statistics.seeds_needed import count_seeds_needed
from usaggr.statistics.two_way_anova import Estimate
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI, VerdictName, decide_verdicts

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Promise:
    """A true difference of the judged task, and the verdict that the named number of seeds promises for it."""

    truth: float
    verdict: VerdictName
    other_truth: float
    """True difference of the other tasks."""


PROMISES = (
    Promise(0.0, "no_loss", -MARGIN),
    Promise(MARGIN, "gain", 0.0),
    Promise(-MARGIN, "loss", 0.0),
    Promise(0.0, "no_loss", 0.0),
    Promise(MARGIN, "gain", MARGIN),
    Promise(-MARGIN, "loss", -MARGIN),
)
"""First with other tasks whose tests reject nothing, so that Holm's first step must; then with tasks that are alike."""
JUDGED = (0, 1, -1)
"""Task, grouping and scale of the cell that counts: one per study, so that all counts are independent."""
SEED_SDS, SUBJECTS, TASKS, SEEDS = (0.01, 0.015, 0.03, 0.06), (30, 100, 400), (1, 3, 8), (3, 5)
SUBJECT_SD = 0.02
"""Small enough that some number of seeds suffices with 30 subjects."""
_ESTIMATES_AT_ONCE = 50
"""Number of cells that are planned at once; more no longer fit into a processor's cache."""
_VALUES_AT_ONCE = 2_000_000
"""Largest number of effects of runs that are held in memory at once."""


@dataclass(frozen=True)
class Setting:
    """A world with the sizes of its studies."""

    world: World
    tasks: int
    seeds: int
    """Number of seeds from which more are planned."""


@dataclass(frozen=True)
class Outcome:
    """Results for one true difference."""

    undecided: Share
    """Studies whose cell is undecided."""
    unnamed: Share
    """Undecided cells for which no number of seeds is named."""
    extended: Share
    """Cells with the promised verdict at the named number of seeds, among all that name one."""
    fresh: Share
    """The same in other studies of that number of seeds, with new seeds and new test subjects."""


@dataclass(frozen=True)
class Planned:
    """Results of one setting."""

    outcomes: tuple[Outcome, ...]
    """One for each of PROMISES."""
    numbers: Array
    """Named numbers of seeds where the true difference is 0."""
    true_numbers: Array
    """Smallest numbers that truly suffice, by the known variances, for the same studies; NaN where none does."""


def list_settings() -> list[Setting]:
    """Return all worlds and sizes."""
    settings = [
        Setting(make_world(seed_sd, subjects), tasks, seeds)
        for seed_sd in SEED_SDS
        for subjects in SUBJECTS
        for seeds in SEEDS
        for tasks in TASKS
    ]
    return settings + [Setting(world, 8, 3) for world in list_further_worlds()]


def make_world(seed_sd: float, subjects: int) -> World:
    """Return a world in which all seeds vary alike."""
    return World(
        f"seed SD {seed_sd:g}, {subjects} subjects".replace("0.", "."),
        seed_sd=seed_sd,
        subject_sd=SUBJECT_SD,
        subjects=(subjects,),
    )


def list_further_worlds() -> tuple[World, ...]:
    """Return worlds whose cells, seeds or subjects vary unlike those of the others."""
    base = replace(make_world(0.015, 100), name="")
    return (
        replace(base, name="subjects vary x 2.5, 400 subjects", subject_sd=0.05, subjects=(400,)),
        replace(base, name="subjects vary x .25, 30 subjects", subject_sd=0.005, subjects=(30,)),
        replace(base, name="subjects vary x .25, 100 subjects", subject_sd=0.005),
        replace(base, name="subjects vary x 1.75, 30 subjects", subject_sd=0.035, subjects=(30,)),
        replace(base, name="subjects vary x 1.75, 100 subjects", subject_sd=0.035),
        replace(make_world(0.06, 400), name="tasks' seeds independent, seed SD .06, 400 subjects", unified_shared=0.0),
        replace(base, name="tasks unlike", task_log_sd=0.8),
        replace(base, name="every cell's sd unlike", cell_log_sd=0.5),
        replace(base, name="unified sd x 2", arm_factors=(1, 1, 2)),
        replace(base, name="clinical sd x 3", arm_factors=(1, 3, 1)),
        replace(base, name="all sd x 3 at the small scale", small_scale_factors=(3, 3, 3)),
        replace(base, name="same seed over scales, .8", same_seed=0.8),
        replace(base, name="t3 seeds", seed_tail="t3"),
        replace(base, name="skewed seeds", seed_tail="skewed"),
    )


def measure(setting: Setting, repetitions: int) -> Planned:
    """Simulate studies, plan their seeds, and judge them at the numbers that they name.

    Args:
        setting: World and sizes.
        repetitions: Number of studies.
    """
    rng = make_generator("seeds needed", setting.world.name, setting.tasks, setting.seeds)
    studies = draw_planned(setting.world, rng, repetitions, setting.tasks, setting.seeds)
    estimate = estimate_differences(studies.summarize())
    is_undecided = np.stack([verdicts == "undecided" for verdicts in judge(estimate)])
    needed = plan_seeds(estimate, studies, np.any(is_undecided, axis=0))
    is_named = is_undecided & np.isfinite(needed)
    has_extended, has_fresh = judge_at(studies, needed, rng)
    counts = [
        [int(states.sum()) for states in promise]
        for promise in zip(is_undecided, is_named, is_named & has_extended, is_named & has_fresh, strict=True)
    ]
    prior_df = float((estimate.seed_df[:, *JUDGED] - (setting.seeds - 1)).mean())
    outcomes = tuple(
        Outcome(
            Share(undecided, repetitions),
            Share(undecided - named, undecided),
            Share(extended, named),
            Share(fresh, named),
        )
        for undecided, named, extended, fresh in counts
    )
    return Planned(outcomes, needed[is_named[0]], find_true_numbers(studies.select(is_named[0]), prior_df))


def estimate_differences(cells: Cells) -> Estimate:
    """Return the estimates of cells as reports make them; the variances of a single task are not moderated."""
    # No other cell predicts a single task's variance in its column, so that moderation would only take time.
    return estimate_cells(cells) if cells.value.shape[1] > 1 else estimate_alone(cells)


def judge(estimate: Estimate) -> NDArray[np.str_]:
    """Return the verdicts (promises, repetitions) on the cell that counts, with the true differences of each promise.

    Args:
        estimate: Estimates of null studies (repetitions, tasks, groupings, scales).
    """
    family = select_estimates(estimate, (slice(None), slice(None), *JUDGED[1:]))
    repetitions, tasks = family.value.shape
    # The steps of Holm's method in a family: a p value between two of them decides as any other between them.
    steps = np.arange(1, tasks + 1)
    widths = family.compute_half_width(1 - ALPHA / steps[:, None, None])
    verdicts = np.full((len(PROMISES), repetitions), "undecided", dtype="<U9")
    for i, promise in enumerate(PROMISES):
        value = family.value + np.where(np.arange(tasks) == JUDGED[0], promise.truth, promise.other_truth)
        passed = (np.abs(value) > widths).sum(axis=0)
        passed_ni = (value + MARGIN > widths).sum(axis=0)
        p, p_ni = _represent_p(passed, ALPHA), _represent_p(passed_ni, ALPHA_NI)
        # A cell that passes no step is undecided whatever its family.
        for study in np.flatnonzero((passed[:, JUDGED[0]] > 0) | (passed_ni[:, JUDGED[0]] > 0)):
            verdicts[i, study] = decide_verdicts(value[study], p[study], p_ni[study]).verdicts[JUDGED[0]]
    return verdicts


def _represent_p(passed: Numbers, level: float) -> Array:
    """Return a p value just below the level of the last step of Holm's method that is passed; 1 if none is.

    Args:
        passed: Number of steps that are passed; step j tests at the level over j.
        level: Level of the family.
    """
    return np.where(passed > 0, level / np.maximum(passed, 1) * (1 - 1e-9), 1.0)


def plan_seeds(estimate: Estimate, studies: Studies, chosen: NDArray[np.bool_]) -> Array:
    """Return the numbers of seeds (repetitions,) that a report names; NaN if it names none, or is not asked.

    Args:
        estimate: Estimates of the studies.
        studies: The studies.
        chosen: (repetitions,) studies whose cell is undecided.
    """
    needed = np.full(chosen.shape, np.nan)
    cells = select_estimates(estimate, (slice(None), *JUDGED))
    level = ALPHA / studies.factors.shape[1]
    positions = np.flatnonzero(chosen)
    for start in range(0, positions.size, _ESTIMATES_AT_ONCE):
        batch = positions[start : start + _ESTIMATES_AT_ONCE]
        size = batch.size
        needed[batch] = count_seeds_needed(
            select_estimates(cells, batch),
            np.full(size, studies.seeds),
            np.full(size, MARGIN),
            np.full(size, level),
        )
    return needed


def judge_at(studies: Studies, needed: Array, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which cells (promises, repetitions) have the promised verdict in extended studies, and in fresh ones.

    Args:
        studies: Studies that name numbers of seeds.
        needed: (repetitions,) the numbers; NaN for a study that is not judged again.
        rng: Random generator.
    """
    results = np.zeros((2, len(PROMISES), needed.size), dtype=bool)
    promised = np.array([promise.verdict for promise in PROMISES])[:, None]
    for number in np.unique(needed[np.isfinite(needed)]).astype(int):
        same_number = np.flatnonzero(needed == number)
        size = max(1, _VALUES_AT_ONCE // (studies.factors[0].size * number))
        for start in range(0, same_number.size, size):
            batch = same_number[start : start + size]
            selected = studies.select(batch)
            longer = extend_studies(selected, rng, number)
            fresh = draw_studies(studies.world, rng, selected.factors, number)
            # Judged together, because moderation takes nearly as long for few studies as for many.
            verdicts = judge(estimate_differences(join_cells(longer.summarize(), fresh.summarize())))
            results[:, :, batch] = np.stack(np.split(verdicts == promised, 2, axis=1))
    return results[0], results[1]


def find_true_numbers(studies: Studies, prior_df: float) -> Array:
    """Return the smallest numbers of seeds above the finished ones that suffice, by the known variances.

    Args:
        studies: The studies.
        prior_df: Degrees of freedom of the prior, as cells of this world have them on average.
    """
    task, grouping, scale = JUDGED
    factors = studies.factors[:, task, :, scale]
    sds = studies.world.seed_sd * np.sqrt(factors[:, 0] ** 2 + factors[:, grouping + 1] ** 2)
    unique, positions = np.unique(sds, return_inverse=True)
    subject_variance, residual_variance = compute_variances(studies.world)
    numbers = count_seeds_from_sds(
        MARGIN,
        unique,
        np.sqrt(subject_variance),
        np.sqrt(residual_variance),
        studies.subjects,
        ALPHA / studies.factors.shape[1],
        prior_df=prior_df,
    )
    return np.asarray(np.maximum(numbers, studies.seeds + 1.0)[positions])


def measure_all(settings: Sequence[Setting], repetitions: int, jobs: int) -> dict[Setting, Planned]:
    """Return the results of all settings.

    Args:
        settings: Worlds and sizes.
        repetitions: Number of studies of each.
        jobs: Number of processes.
    """
    work = [(setting, repetitions) for setting in settings]
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        results = {}
        for i, (setting, planned) in enumerate(processes.imap_unordered(_measure_job, work), start=1):
            results[setting] = planned
            print(f"\r{i} of {len(work)} worlds and sizes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {setting: results[setting] for setting in settings}


def _measure_job(job: tuple[Setting, int]) -> tuple[Setting, Planned]:
    setting, repetitions = job
    return setting, measure(setting, repetitions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    from benchmarks.evidence.seeds_needed_page import report

    parser = argparse.ArgumentParser(description="Measure the power at the named numbers of seeds.")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 60 studies of four worlds and sizes")
    parser.add_argument("--out", type=Path, default=Path("docs/seeds_needed.md"))
    options = parser.parse_args(arguments)
    repetitions = min(options.repetitions, 60) if options.quick else options.repetitions
    settings = list_settings()[8::22] if options.quick else list_settings()
    text, misses = report(measure_all(settings, repetitions, options.jobs), repetitions)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(misses)} shares miss" + "".join(f"\n- {miss}" for miss in misses))
    return 0


if __name__ == "__main__":
    sys.exit(main())
