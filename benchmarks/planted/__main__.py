"""Compare the verdicts on trained networks with planted differences; writes the sections of docs/planted.md.

    python -m benchmarks.planted [pool] [scale] [affinity] [--seeds 40] [--draws 500] [--jobs 1] [--outputs outputs]

All sections use ordinary sweeps (benchmarks/planted/sweeps). The same command continues an interrupted sweep, and a
larger number of seeds adds to the finished ones. Studies of 5 seeds are drawn from these pools, seeds and test
components with replacement, and judged as in a report.
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
from benchmarks.planted.draws import Cell, Judged, add_counts, draw_studies, estimate_truths, judge_draws
from benchmarks.planted.figure import draw_figure
from benchmarks.planted.page import EXPECTED, Pool
from benchmarks.planted.training import FOLDER, map_draws, sum_cost, train
from usaggr.analysis.collect import Collection
from usaggr.analysis.observations import observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import group_rows
from usaggr.config.compose import compose_study
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.show.sample_sheet import draw_sheet
from usaggr.progress import RichProgress

SIZE = 5
"""Number of seeds of a drawn study."""
PLANTED = "relations"
"""Grouping with one block each of related, conflicting and unrelated tasks."""
SCALE_SEEDS, STRUCTURE_SEEDS = 12, 8
"""Largest numbers of seeds of the studies of scale and of affinity."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, judge, write the sections, and return 1 if a target is not met."""
    parser = argparse.ArgumentParser(description="Compare the verdicts on trained networks with planted differences.")
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], metavar="SECTION", help=f"{', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--page", type=Path, default=Path("docs/planted.md"))
    options = parser.parse_args(arguments)
    wrong: list[str] = []
    for name in options.parts or PARTS:
        text, failed = PARTS[name](options)
        outcome = "All targets are met." if not failed else f"**Not met: {'; '.join(failed)}.**"
        write_part(options.page, name, f"{text}\n\n{prose(f'{outcome} {machine(1)}.')}")
        wrong += failed
    print(f"{options.page}: {len(wrong)} checks fail" + "".join(f"\n- {line}" for line in wrong))
    return 1 if wrong else 0


def pool_part(options: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the section about gains and losses, whose pictures it writes, and the targets that are not met."""
    pool, deltas = measure_pool(
        train("planted", [], options.seeds, options.jobs, options.outputs), options.draws, options.jobs
    )
    images = options.page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    figure, sheet = (images / f"{options.page.stem}{what}.png" for what in ("", "_phantoms"))
    draw_figure(pool, deltas, figure)
    data = compose_study("planted", (), FOLDER).data
    draw_sheet(load_dataset(data, RichProgress()), sheet, data.max_pixels, per_task=4)
    return page.report(pool, f"images/{figure.name}", f"images/{sheet.name}"), page.list_failures(pool)


def scale_part(options: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the section about dependence on scale, and the targets that are not met."""
    seeds = min(options.seeds, SCALE_SEEDS)
    measured = [
        scale.measure_slopes(world, seeds, options.jobs, options.outputs, options.draws, SIZE) for world in scale.WORLDS
    ]
    return scale.section(measured), scale.failures(measured)


def affinity_part(options: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the section about groupings by affinity, and the targets that are not met."""
    seeds = min(options.seeds, STRUCTURE_SEEDS)
    worlds = [structure.measure_structures(world, seeds, options.jobs, options.outputs) for world in structure.WORLDS]
    measured = [result for results, _ in worlds for result in results]
    return structure.section(measured, [cost for _, cost in worlds]), structure.failures(measured)


PARTS: dict[str, Callable[[argparse.Namespace], tuple[str, list[str]]]] = {
    "pool": pool_part,
    "scale": scale_part,
    "affinity": affinity_part,
}
"""Functions that measure the sections, by the names of their markers, in the order of the page."""


def measure_pool(collection: Collection, draws: int, jobs: int) -> tuple[Pool, dict[str, NDArray[np.float64]]]:
    """Judge studies drawn from a pool.

    Args:
        collection: Finished sweep of all seeds.
        draws: Number of drawn studies.
        jobs: Number of processes.

    Returns:
        Measurements for the page, and the difference of each seed per task under the grouping PLANTED.
    """
    relations = relations_of(collection)
    truth = estimate_truths(collection)
    planted = [cell for cell in truth if cell[0] == PLANTED and relations[cell[2]] in EXPECTED]
    null: list[Cell] = [cell for cell in truth if cell[0] == PLANTED and relations[cell[2]] not in EXPECTED]
    margin = float(np.mean([abs(truth[cell].delta) for cell in planted])) / 2
    studies = list(draw_studies(collection, SIZE, draws, np.random.default_rng(0)))
    judge = partial(judge_draws, collection, margin=margin, null=null, truth=truth)
    judged: Judged = add_counts(map_draws(judge, studies, jobs, "judging draws from the pool"))
    results = [run.result for run in collection.runs if run.result is not None]
    runs, seconds = sum_cost(collection)
    pool = Pool(
        seeds=len(collection.study.seeds), size=SIZE, runs=runs, seconds=seconds,
        margin=margin, truth=truth, judged=judged, relations=relations, grouping=PLANTED,
        subjects=min(facts.n_subjects for facts in collection.data.tasks.values()),
        training={task: count for result in results for task, count in result.n_train.items()},
    )  # fmt: skip
    main = [row for row in observe(collection) if row.main]
    pairs = pair_with_reference(main, collection.study.reference)
    by_task = group_rows((p for p in pairs if p.compared.grouping == PLANTED), lambda pair: pair.compared.task)
    return pool, {task: np.array([pair.delta for pair in by_task[task]]) for task in sorted(by_task)}


def relations_of(collection: Collection) -> dict[str, str]:
    """Return what is planted in each task, from the study's configuration, in the order of the page."""
    synthetic = collection.study.get_setting("data.synthetic")
    relations: dict[str, str] = {}
    for task, partner in synthetic["related"].items():
        relations |= {partner: "related", task: "related"}
    for task, partner in synthetic["conflicting"].items():
        relations |= {partner: "conflicting", task: "random labels"}
    return relations | {task: "unrelated" for task in collection.tasks if task not in relations}


if __name__ == "__main__":
    sys.exit(main())
