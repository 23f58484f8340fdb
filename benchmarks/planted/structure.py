"""Whether a grouping by affinity is better than those drawn by lot: among related tasks, and among unrelated ones."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.generated import table
from benchmarks.planted.training import HERE, cost_of, own_words, train
from usaggr.affinity.blocks import Blocks, affinity_blocks
from usaggr.compose import compose_study
from usaggr.files import write_atomic
from usaggr.progress import RichProgress
from usaggr.report.collect import Collection
from usaggr.report.comparison import pairs_of
from usaggr.report.observations import observe

STUDY = "planted_affinity"
RELATED = "data.synthetic.related={carotid_artery: thyroid_nodule, lung: breast_lesion, ovary_tumor: cervix}"
WORLDS: Mapping[str, Sequence[str]] = {"related pairs": [RELATED], "unrelated tasks": []}
"""What is planted: overrides of the study."""
BLOCKS = 3
"""Models that the grouping by affinity may have: as many as there are pairs."""
OVERHEAD = 2.0
"""Seconds of probes for one of training: these runs are short."""
PROBED = 3
"""Seeds whose unified runs are probed."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Structure:
    """What came of it in one world."""

    world: str
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
    runs: int
    seconds: float

    @property
    def better(self) -> bool:
        """Whether affinity is certainly better than lots."""
        return self.low > 0


def measure_structure(world: str, seeds: int, jobs: int, outputs: Path) -> Structure:
    """Probe unified runs, make the grouping, and train it beside others drawn by lot."""
    name = f"{STUDY}_{world.replace(' ', '_')}"
    words = [f"name={name}", *WORLDS[world]]
    probed = compose_study(STUDY, [*own_words(PROBED, 1, outputs), *words, "groupings=[task_specific,unified]"], HERE)
    blocks = affinity_blocks(probed, "lookahead", BLOCKS, RichProgress(), OVERHEAD)
    folder = outputs / f"{name}_conf"
    shutil.copytree(HERE / "sweeps", folder / "sweeps", dirs_exist_ok=True)
    shutil.copytree(HERE / "grouping", folder / "grouping", dirs_exist_ok=True)
    lines = "".join(f"  {block}: [{', '.join(tasks)}]\n" for block, tasks in blocks.items())
    write_atomic(folder / "grouping" / "affinity.yaml", f"blocks:\n{lines}")
    return compared(world, blocks, train(STUDY, words, seeds, jobs, outputs, folder))


def compared(world: str, blocks: Blocks, collection: Collection) -> Structure:
    """The grouping `affinity` of a sweep against the groupings of its controls."""
    assert collection.controls is not None
    within = collection.controls
    observations = observe(within)
    pairs = pairs_of(observations[observations["main"]], within.study.reference)
    pairs["delta"] = pairs["delta"].mask(pairs["same"], 0.0)
    means: pd.DataFrame = pairs.pivot_table(index="seed", columns="grouping", values="delta", aggfunc="mean")
    drawn = means[list(within.study.controls)]
    differences = (means["affinity"] - drawn.mean(axis=1)).to_numpy(dtype=float)
    error = float(stats.sem(differences)) * float(stats.t.ppf((1 + CONFIDENCE) / 2, differences.size - 1))
    mean = float(np.mean(differences))
    of_draws = tuple(float(value) for value in drawn.mean())
    runs, seconds = cost_of(within)
    affinity = float(means["affinity"].mean())
    return Structure(world, blocks, len(means), affinity, of_draws, mean, mean - error, mean + error, runs, seconds)


def failures(found: Sequence[Structure]) -> list[str]:
    """What is not as asked: affinity is better than lots where tasks are related, and nowhere else."""
    return [
        f"affinity is {'' if of.better else 'not '}better than lots among {of.world}"
        for of in found
        if of.better != (of.world == next(iter(WORLDS)))
    ]


def section(found: Sequence[Structure]) -> str:
    """Of the page."""
    first = found[0]
    text = _SECTION.format(seeds=first.seeds, draws=len(first.drawn), probed=PROBED, blocks=BLOCKS)
    columns = ["world", "blocks by affinity", "affinity", "by lot (least to most)", "affinity - lot", "asked"]
    return f"{text.strip()}\n\n{table(columns, [_row(of) for of in found])}"


def _row(of: Structure) -> list[str]:
    blocks = "; ".join(", ".join(tasks) for tasks in of.blocks.values())
    lots = f"{np.mean(of.drawn):+.3f} ({min(of.drawn):+.3f} to {max(of.drawn):+.3f})"
    asked = "above 0" if of.world == next(iter(WORLDS)) else "not above 0"
    difference = f"{of.difference:+.3f} ({of.low:+.3f} to {of.high:+.3f})"
    return [of.world, blocks, f"{of.affinity:+.3f}", lots, difference, asked]


_SECTION = """
## Affinity against lots

Six other tasks: three related pairs, or all of them unrelated. `usaggr affinity` (lookahead, {probed} seeds, at most
{blocks} blocks) makes a grouping, and {draws} groupings with blocks of the same sizes are drawn by lot; {seeds} seeds
of each are trained. Differences from task-specific models are means over tasks and seeds in DSC; the interval of
affinity against the mean of the lots is over seeds, 95 %.
"""
