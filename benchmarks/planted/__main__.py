"""Whether verdicts come out as planted, with networks that are trained: writes docs/planted.md.

    python -m benchmarks.planted [--seeds 40] [--draws 500] [--jobs 1] [--outputs outputs] [--out docs/planted.md]

All are ordinary sweeps (benchmarks/planted/sweeps): the same command goes on where it was stopped, and more seeds add
to those that are there. Studies of 5 seeds are drawn from pools without replacement and judged as a report does.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.generated import machine
from benchmarks.planted import page, scale, structure
from benchmarks.planted.draws import Cell, Judged, added, judge_draws, seed_draws, truths
from benchmarks.planted.figure import draw_figure
from benchmarks.planted.page import EXPECTED, Pool
from benchmarks.planted.training import HERE, cost_of, in_parts, train
from usaggr.compose import compose_study
from usaggr.data.dataset import load_dataset
from usaggr.data.sheet import draw_sheet
from usaggr.progress import RichProgress
from usaggr.report.collect import Collection
from usaggr.report.comparison import pairs_of
from usaggr.report.observations import observe

SIZE = 5
"""Seeds of a drawn study."""
PAIRS = "pairs"
"""The grouping whose blocks are the pairs."""
SCALE_SEEDS, STRUCTURE_SEEDS = 12, 8
"""Of the studies beside the pool, at the most."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Whether verdicts come out as planted.")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--out", type=Path, default=Path("docs/planted.md"))
    options = parser.parse_args(arguments)
    collection = train("planted", [], options.seeds, options.jobs, options.outputs)
    pool, deltas = measure_pool(collection, options.draws, options.jobs)
    slopes = [
        scale.measure_slopes(world, min(options.seeds, SCALE_SEEDS), options.jobs, options.outputs, options.draws, SIZE)
        for world in scale.WORLDS
    ]
    few = min(options.seeds, STRUCTURE_SEEDS)
    by_world = [structure.measure_structures(world, few, options.jobs, options.outputs) for world in structure.WORLDS]
    structures = [found for of_world, _ in by_world for found in of_world]
    images = options.out.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    figure, sheet = (images / f"{options.out.stem}{what}.png" for what in ("", "_phantoms"))
    draw_figure(pool, deltas, figure)
    data = compose_study("planted", (), HERE).data
    draw_sheet(load_dataset(data, RichProgress()), sheet, data.max_pixels, per_task=4)
    wrong = [*page.failures(pool), *scale.failures(slopes), *structure.failures(structures)]
    sections = [scale.section(slopes), structure.section(structures)]
    costs = [
        (pool.runs, pool.seconds),
        *((of.runs, of.seconds) for of in slopes),
        *(cost for _, cost in by_world),
    ]
    text = page.report(
        pool, wrong, f"images/{figure.name}", f"images/{sheet.name}", sections, page.cost(costs, machine(1))
    )
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(wrong)} checks fail" + "".join(f"\n- {line}" for line in wrong))
    return 1 if wrong else 0


def measure_pool(collection: Collection, draws: int, jobs: int) -> tuple[Pool, dict[str, NDArray[np.float64]]]:
    """The pool as the page tells it, and each task's differences by seed under the pairs."""
    relations = relations_of(collection)
    truth = truths(collection)
    planted = [cell for cell in truth if cell[0] == PAIRS and relations[cell[2]] in EXPECTED]
    null: list[Cell] = [cell for cell in truth if cell[0] == PAIRS and relations[cell[2]] not in EXPECTED]
    margin = float(np.mean([abs(truth[cell].delta) for cell in planted])) / 2
    seeds = list(seed_draws(collection.study.seeds, SIZE, draws, np.random.default_rng(0)))
    judge = partial(judge_draws, collection, margin=margin, null=null, truth=truth)
    judged: Judged = added(in_parts(judge, seeds, jobs, "judging draws from the pool"))
    results = [run.result for run in collection.runs if run.result is not None]
    runs, seconds = cost_of(collection)
    pool = Pool(
        seeds=len(collection.study.seeds), size=SIZE, runs=runs, seconds=seconds,
        margin=margin, truth=truth, judged=judged, relations=relations, grouping=PAIRS,
        subjects=min(facts.n_subjects for facts in collection.data.tasks.values()),
        training={task: count for result in results for task, count in result.n_train.items()},
    )  # fmt: skip
    observations = observe(collection)
    pairs = pairs_of(observations[observations["main"]], collection.study.reference)
    own = pairs[pairs["grouping"] == PAIRS].groupby("task")["delta"]
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
