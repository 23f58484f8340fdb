"""Section of docs/planted.md that compares groupings by affinity with random ones, with and without relations."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import stats

from benchmarks.generated import prose, table
from benchmarks.planted.page import cost
from benchmarks.planted.training import FOLDER, make_overrides, sum_cost, train
from usaggr.affinity.blocks import Blocks, make_blocks
from usaggr.affinity.estimate import AffinityRequest, estimate
from usaggr.analysis.collect import Collection
from usaggr.analysis.observations import observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.config.compose import compose_study
from usaggr.io.atomic_files import write_atomic
from usaggr.progress import RichProgress
from usaggr.results.affinity import Measure

STUDY = "planted_affinity"
RELATED = "data.synthetic.related={carotid_artery: thyroid_nodule, lung: breast_lesion, ovary_tumor: cervix}"
WORLDS: Mapping[str, Sequence[str]] = {"related pairs": [RELATED], "unrelated tasks": []}
"""Overrides of the study that plant the relations of each world."""
MEASURES: tuple[Measure, ...] = ("gradient", "lookahead")
"""Measures that make a grouping each; targets are set for the first, whose block sizes the random groupings have."""
BLOCKS = 3
"""Largest number of models of a grouping by affinity, which is the number of pairs."""
OVERHEAD = 2.0
"""Seconds of probes per second of training; high, because these runs are short."""
PROBED = 3
"""Number of seeds whose unified runs are probed."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Structure:
    """Results of one measure of affinity in one world."""

    world: str
    measure: Measure
    blocks: Blocks
    """Grouping by affinity."""
    seeds: int
    affinity: float
    """Mean difference from task-specific models over tasks and seeds, in DSC."""
    drawn: tuple[float, ...]
    """The same for each random grouping."""
    difference: float
    """Difference of the grouping by affinity from the mean of the random ones, paired by seed."""
    low: float
    """Lower limit of the 95 % interval over seeds; test subjects and random groupings are the same for all."""
    high: float
    """Upper limit of this interval."""

    @property
    def better(self) -> bool:
        """True if affinity is significantly better than random groupings."""
        return self.low > 0


def measure_structures(world: str, seeds: int, jobs: int, outputs: Path) -> tuple[list[Structure], tuple[int, float]]:
    """Probe unified runs, make groupings by affinity, and train them and random groupings.

    Args:
        world: Key of WORLDS.
        seeds: Number of seeds.
        jobs: Number of processes.
        outputs: Folder of the results.

    Returns:
        Results of each measure; number of runs and their seconds.
    """
    name = f"{STUDY}_{world.replace(' ', '_')}"
    words = [f"name={name}", *WORLDS[world]]
    probed = compose_study(
        STUDY, [*make_overrides(PROBED, 1, outputs), *words, "groupings=[task_specific,unified]"], FOLDER
    )
    affinities = estimate(probed, AffinityRequest(MEASURES, OVERHEAD), RichProgress())
    groupings = {measure: make_blocks(affinities, measure, BLOCKS) for measure in MEASURES}
    folder = outputs / f"{name}_conf"
    shutil.copytree(FOLDER / "sweeps", folder / "sweeps", dirs_exist_ok=True)
    shutil.copytree(FOLDER / "grouping", folder / "grouping", dirs_exist_ok=True)
    for measure, blocks in groupings.items():
        content = {"blocks": {block: list(tasks) for block, tasks in blocks.items()}}
        write_atomic(folder / "grouping" / f"by_{measure}.yaml", yaml.safe_dump(content))
    collection = train(STUDY, words, seeds, jobs, outputs, folder)
    structures = [compare_grouping(world, measure, blocks, collection) for measure, blocks in groupings.items()]
    return structures, sum_cost(collection)


def compare_grouping(world: str, measure: Measure, blocks: Blocks, collection: Collection) -> Structure:
    """Compare a sweep's grouping by a measure with its random groupings.

    Args:
        world: Key of WORLDS.
        measure: Measure of affinity.
        blocks: Grouping by this measure.
        collection: Finished sweep.
    """
    controls = collection.controls
    assert controls is not None
    # Both sweeps contain the reference and the groupings that the random ones copy; each observation counts once.
    main = {(row.key, row.seed): row for sweep in (controls, collection) for row in observe(sweep) if row.main}
    pairs = pair_with_reference(main.values(), collection.study.reference)
    differences_by_run = pd.DataFrame(
        {
            "seed": [pair.compared.seed for pair in pairs],
            "grouping": [pair.compared.grouping for pair in pairs],
            "delta": [0.0 if pair.is_same_run else pair.delta for pair in pairs],
        }
    )
    means: pd.DataFrame = differences_by_run.pivot_table(
        index="seed", columns="grouping", values="delta", aggfunc="mean"
    )
    drawn, by_affinity = means[list(controls.study.controls)], means[f"by_{measure}"]
    differences = (by_affinity - drawn.mean(axis=1)).to_numpy(dtype=float)
    error = float(stats.sem(differences)) * float(stats.t.ppf((1 + CONFIDENCE) / 2, differences.size - 1))
    mean = float(np.mean(differences))
    of_draws = tuple(float(value) for value in drawn.mean())
    bounds = mean - error, mean + error
    return Structure(world, measure, blocks, len(means), float(by_affinity.mean()), of_draws, mean, *bounds)


def failures(structures: Sequence[Structure]) -> list[str]:
    """Return a message for each target that is not met: affinity must be better only if tasks are related."""
    messages = []
    for structure in structures:
        if structure.measure == MEASURES[0] and structure.better != _is_related(structure):
            verb = "is" if structure.better else "is not"
            messages.append(f"affinity by {structure.measure} {verb} better than random among {structure.world}")
    return messages


def section(structures: Sequence[Structure], costs: Sequence[tuple[int, float]]) -> str:
    """Return the section of the page."""
    first = structures[0]
    text = prose(_SECTION.format(seeds=first.seeds, draws=len(first.drawn), probed=PROBED, blocks=BLOCKS))
    columns = ["world", "measure", "blocks", "by affinity", "random (range)", "affinity - random", "target"]
    return f"{text}\n\n{table(columns, [_row(structure) for structure in structures])}\n\n{cost(costs)}"


def _is_related(structure: Structure) -> bool:
    return structure.world == next(iter(WORLDS))


def _row(structure: Structure) -> list[str]:
    blocks = "; ".join(", ".join(tasks) for tasks in structure.blocks.values())
    random = f"{np.mean(structure.drawn):+.3f} ({min(structure.drawn):+.3f} to {max(structure.drawn):+.3f})"
    target = "above 0" if _is_related(structure) else "not above 0"
    difference = f"{structure.difference:+.3f} ({structure.low:+.3f} to {structure.high:+.3f})"
    shown = target if structure.measure == MEASURES[0] else "-"
    return [structure.world, structure.measure, blocks, f"{structure.affinity:+.3f}", random, difference, shown]


_SECTION = """
Six other tasks are three related pairs, or all unrelated. Groupings of `usaggr affinity` ({probed} seeds, at most
{blocks} blocks) and {draws} random ones with blocks of the same sizes are trained with {seeds} seeds. Columns: mean
differences from task-specific models, in DSC, with a 95 % interval over seeds. The measure with a target was chosen
after a trial of the related world.
"""
