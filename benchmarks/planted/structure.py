"""Whether a grouping by affinity is better than those drawn by lot: among related tasks, and among unrelated ones."""

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
from benchmarks.planted.training import HERE, cost_of, own_words, train
from usaggr.affinity.blocks import Blocks, make_blocks
from usaggr.affinity.estimate import AffinityRequest, estimate
from usaggr.analysis.collect import Collection
from usaggr.analysis.comparison import pairs_of
from usaggr.analysis.observations import observe
from usaggr.config.compose import compose_study
from usaggr.io.atomic_files import write_atomic
from usaggr.progress import RichProgress
from usaggr.results.affinity import Measure

STUDY = "planted_affinity"
RELATED = "data.synthetic.related={carotid_artery: thyroid_nodule, lung: breast_lesion, ovary_tumor: cervix}"
WORLDS: Mapping[str, Sequence[str]] = {"related pairs": [RELATED], "unrelated tasks": []}
"""What is planted: overrides of the study."""
MEASURES: tuple[Measure, ...] = ("gradient", "lookahead")
"""Each makes a grouping; targets are set for the first one, which also says how large the blocks drawn by lot are."""
BLOCKS = 3
"""Models that the grouping by affinity may have: as many as there are pairs."""
OVERHEAD = 2.0
"""Seconds of probes for one of training: these runs are short."""
PROBED = 3
"""Seeds whose unified runs are probed."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Structure:
    """What came of it in one world, for one measure."""

    world: str
    measure: Measure
    blocks: Blocks
    """By affinity."""
    seeds: int
    affinity: float
    """Mean difference from task-specific models over tasks and seeds, in DSC."""
    drawn: tuple[float, ...]
    """The same of each grouping drawn by lot."""
    difference: float
    """Of the two, paired by seed."""
    low: float
    high: float
    """95 % interval over seeds; test subjects and draws are the same for all."""

    @property
    def better(self) -> bool:
        """Whether affinity is certainly better than lots."""
        return self.low > 0


def measure_structures(world: str, seeds: int, jobs: int, outputs: Path) -> tuple[list[Structure], tuple[int, float]]:
    """Probe unified runs, make the groupings, and train them beside others drawn by lot; and what it cost."""
    name = f"{STUDY}_{world.replace(' ', '_')}"
    words = [f"name={name}", *WORLDS[world]]
    probed = compose_study(STUDY, [*own_words(PROBED, 1, outputs), *words, "groupings=[task_specific,unified]"], HERE)
    affinities = estimate(probed, AffinityRequest(MEASURES, OVERHEAD), RichProgress())
    groupings = {measure: make_blocks(affinities, measure, BLOCKS) for measure in MEASURES}
    folder = outputs / f"{name}_conf"
    shutil.copytree(HERE / "sweeps", folder / "sweeps", dirs_exist_ok=True)
    shutil.copytree(HERE / "grouping", folder / "grouping", dirs_exist_ok=True)
    for measure, blocks in groupings.items():
        content = {"blocks": {block: list(tasks) for block, tasks in blocks.items()}}
        write_atomic(folder / "grouping" / f"by_{measure}.yaml", yaml.safe_dump(content))
    collection = train(STUDY, words, seeds, jobs, outputs, folder)
    found = [compared(world, measure, blocks, collection) for measure, blocks in groupings.items()]
    return found, cost_of(collection)


def compared(world: str, measure: Measure, blocks: Blocks, collection: Collection) -> Structure:
    """A sweep's grouping by a measure against its groupings drawn by lot."""
    controls = collection.controls
    assert controls is not None
    parts = [observe(of) for of in (collection, controls)]
    observations = pd.concat([of[of["main"]] for of in parts], ignore_index=True)
    observations = observations.drop_duplicates(["grouping", "task", "seed", "metric", "scale", "variant"])
    pairs = pairs_of(observations, collection.study.reference)
    pairs["delta"] = pairs["delta"].mask(pairs["same"], 0.0)
    means: pd.DataFrame = pairs.pivot_table(index="seed", columns="grouping", values="delta", aggfunc="mean")
    drawn, own = means[list(controls.study.controls)], means[f"by_{measure}"]
    differences = (own - drawn.mean(axis=1)).to_numpy(dtype=float)
    error = float(stats.sem(differences)) * float(stats.t.ppf((1 + CONFIDENCE) / 2, differences.size - 1))
    mean = float(np.mean(differences))
    of_draws = tuple(float(value) for value in drawn.mean())
    bounds = mean - error, mean + error
    return Structure(world, measure, blocks, len(means), float(own.mean()), of_draws, mean, *bounds)


def failures(found: Sequence[Structure]) -> list[str]:
    """What is not as asked: affinity is better than lots where tasks are related, and nowhere else."""
    return [
        f"affinity by {of.measure} is {'' if of.better else 'not '}better than lots among {of.world}"
        for of in found
        if of.measure == MEASURES[0] and of.better != _is_related(of)
    ]


def section(found: Sequence[Structure], costs: Sequence[tuple[int, float]]) -> str:
    """The part of the page."""
    first = found[0]
    text = prose(_SECTION.format(seeds=first.seeds, draws=len(first.drawn), probed=PROBED, blocks=BLOCKS))
    columns = ["world", "measure", "blocks", "by affinity", "by lot (least to most)", "affinity - lot", "asked"]
    return f"{text}\n\n{table(columns, [_row(of) for of in found])}\n\n{cost(costs)}"


def _is_related(of: Structure) -> bool:
    return of.world == next(iter(WORLDS))


def _row(of: Structure) -> list[str]:
    blocks = "; ".join(", ".join(tasks) for tasks in of.blocks.values())
    lots = f"{np.mean(of.drawn):+.3f} ({min(of.drawn):+.3f} to {max(of.drawn):+.3f})"
    asked = "above 0" if _is_related(of) else "not above 0"
    difference = f"{of.difference:+.3f} ({of.low:+.3f} to {of.high:+.3f})"
    shown = asked if of.measure == MEASURES[0] else "-"
    return [of.world, of.measure, blocks, f"{of.affinity:+.3f}", lots, difference, shown]


_SECTION = """
Six other tasks: three related pairs, or all of them unrelated. `usaggr affinity` ({probed} seeds, at most {blocks}
blocks) makes a grouping by each of two measures, and {draws} groupings with blocks of the same sizes are drawn by lot;
{seeds} seeds of each are trained. Differences from task-specific models are means over tasks and seeds in DSC; the
interval of affinity against the mean of the lots is over seeds, 95 %. The measure of which something is asked was
chosen after a trial of the related world.
"""
