"""Whether verdicts come out as planted, with networks that are trained: writes the parts of docs/planted.md.

    python -m benchmarks.planted [pool] [scale] [affinity] [--seeds 40] [--draws 500] [--jobs 1] [--outputs outputs]

All are ordinary sweeps (benchmarks/planted/sweeps): the same command goes on where it was stopped, and more seeds add
to those that are there. Studies of 5 seeds are drawn from pools without replacement and judged as a report does.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.generated import machine, prose, write_part
from benchmarks.planted import page, scale, structure
from benchmarks.planted.draws import Cell, Judged, added, judge_draws, seed_draws, truths
from benchmarks.planted.figure import draw_figure
from benchmarks.planted.page import EXPECTED, Pool
from benchmarks.planted.training import HERE, cost_of, in_parts, train
from usaggr.analysis.collect import Collection
from usaggr.analysis.comparison import pairs_of
from usaggr.analysis.observations import observe
from usaggr.config.compose import compose_study
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.show.sample_sheet import draw_sheet
from usaggr.progress import RichProgress

SIZE = 5
"""Seeds of a drawn study."""
PLANTED = "relations"
"""The grouping whose blocks are the related tasks, the conflicting and the unrelated ones."""
SCALE_SEEDS, STRUCTURE_SEEDS = 12, 8
"""Of the studies beside the pool, at the most."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Whether verdicts come out as planted.")
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=f"{', '.join(PARTS)}; unless given, all"
    )
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--page", type=Path, default=Path("docs/planted.md"))
    asked = parser.parse_args(arguments)
    wrong: list[str] = []
    for part in asked.parts or PARTS:
        text, failed = PARTS[part](asked)
        outcome = "All targets are met." if not failed else f"**Not met: {'; '.join(failed)}.**"
        write_part(asked.page, part, f"{text}\n\n{prose(f'{outcome} {machine(1)}.')}")
        wrong += failed
    print(f"{asked.page}: {len(wrong)} checks fail" + "".join(f"\n- {line}" for line in wrong))
    return 1 if wrong else 0


def pool_part(asked: argparse.Namespace) -> tuple[str, list[str]]:
    """The part of the page about the pool, with its pictures, and what is not as asked."""
    pool, deltas = measure_pool(train("planted", [], asked.seeds, asked.jobs, asked.outputs), asked.draws, asked.jobs)
    images = asked.page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    figure, sheet = (images / f"{asked.page.stem}{what}.png" for what in ("", "_phantoms"))
    draw_figure(pool, deltas, figure)
    data = compose_study("planted", (), HERE).data
    draw_sheet(load_dataset(data, RichProgress()), sheet, data.max_pixels, per_task=4)
    return page.report(pool, f"images/{figure.name}", f"images/{sheet.name}"), page.failures(pool)


def scale_part(asked: argparse.Namespace) -> tuple[str, list[str]]:
    """The part of the page about dependence on scale."""
    seeds = min(asked.seeds, SCALE_SEEDS)
    found = [scale.measure_slopes(world, seeds, asked.jobs, asked.outputs, asked.draws, SIZE) for world in scale.WORLDS]
    return scale.section(found), scale.failures(found)


def affinity_part(asked: argparse.Namespace) -> tuple[str, list[str]]:
    """The part of the page about groupings by affinity."""
    seeds = min(asked.seeds, STRUCTURE_SEEDS)
    worlds = [structure.measure_structures(world, seeds, asked.jobs, asked.outputs) for world in structure.WORLDS]
    found = [of for of_world, _ in worlds for of in of_world]
    return structure.section(found, [cost for _, cost in worlds]), structure.failures(found)


PARTS: dict[str, Callable[[argparse.Namespace], tuple[str, list[str]]]] = {
    "pool": pool_part,
    "scale": scale_part,
    "affinity": affinity_part,
}
"""By the names of their markers on the page, in its order."""


def measure_pool(collection: Collection, draws: int, jobs: int) -> tuple[Pool, dict[str, NDArray[np.float64]]]:
    """The pool as the page tells it, and each task's differences by seed under that grouping."""
    relations = relations_of(collection)
    truth = truths(collection)
    planted = [cell for cell in truth if cell[0] == PLANTED and relations[cell[2]] in EXPECTED]
    null: list[Cell] = [cell for cell in truth if cell[0] == PLANTED and relations[cell[2]] not in EXPECTED]
    margin = float(np.mean([abs(truth[cell].delta) for cell in planted])) / 2
    seeds = list(seed_draws(collection.study.seeds, SIZE, draws, np.random.default_rng(0)))
    judge = partial(judge_draws, collection, margin=margin, null=null, truth=truth)
    judged: Judged = added(in_parts(judge, seeds, jobs, "judging draws from the pool"))
    results = [run.result for run in collection.runs if run.result is not None]
    runs, seconds = cost_of(collection)
    pool = Pool(
        seeds=len(collection.study.seeds), size=SIZE, runs=runs, seconds=seconds,
        margin=margin, truth=truth, judged=judged, relations=relations, grouping=PLANTED,
        subjects=min(facts.n_subjects for facts in collection.data.tasks.values()),
        training={task: count for result in results for task, count in result.n_train.items()},
    )  # fmt: skip
    observations = observe(collection)
    pairs = pairs_of(observations[observations["main"]], collection.study.reference)
    own = pairs[pairs["grouping"] == PLANTED].groupby("task")["delta"]
    return pool, {str(task): np.asarray(values, dtype=float) for task, values in own}


def relations_of(collection: Collection) -> dict[str, str]:
    """Task: what is planted, from the study's own configuration; in the order in which the page tells it."""
    synthetic = collection.study.setting("data.synthetic")
    found: dict[str, str] = {}
    for task, partner in synthetic["related"].items():
        found |= {partner: "related", task: "related"}
    for task, partner in synthetic["conflicting"].items():
        found |= {partner: "conflicting", task: "labels by lot"}
    return found | {task: "unrelated" for task in collection.tasks if task not in found}


if __name__ == "__main__":
    sys.exit(main())
