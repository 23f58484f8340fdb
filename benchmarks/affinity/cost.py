"""What affinity costs: pairs of the same unified run, with probes and without, timed in turn.

    python -m benchmarks.affinity.cost [--pairs N] [--budget "200 examples"] [--page docs/affinity.md]

Both runs of a pair train the same steps of the same tasks of the catalogue, on phantoms, without validation and scores,
so that the ratio is the largest that a whole run can have. The ratio in processor time says the same on a machine that
does other things too. Takes some two minutes a pair on two cores.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.generated import machine, prose, table, write_part
from usaggr.affinity.estimate import OVERHEAD
from usaggr.affinity.gradient_probe import ProbeSettings
from usaggr.affinity.probed_training import train_with_probes
from usaggr.config.compose import compose_study
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, run_data
from usaggr.data.seeds import derived_seed
from usaggr.models.build_network import build_network
from usaggr.progress import NoProgress, RichProgress
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import PlannedRun, make_plan
from usaggr.tasks import CATALOGUE
from usaggr.training.run import make_intervals, make_module
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve

LIMIT = 1.5
"""Times the unified run: what affinity may cost."""


@dataclass(frozen=True)
class Pair:
    """One seed, with probes and without."""

    steps: int
    plain: float
    """Seconds of training."""
    probed: float
    plain_cpu: float
    """Seconds of the processor."""
    probed_cpu: float
    estimates: tuple[int, int]
    """Fewest and most of a pair of tasks, of lookahead."""
    cosines: tuple[int, int]

    @property
    def ratio(self) -> float:
        return self.probed / self.plain

    @property
    def ratio_cpu(self) -> float:
        return self.probed_cpu / self.plain_cpu


def measure(tasks: int, budget: str, seeds: int, threads: int) -> list[Pair]:
    """Time a pair for each seed; every other one begins with the probed run."""
    names = sorted(CATALOGUE)[:tasks]
    overrides = [f"data.synthetic.tasks=[{','.join(names)}]", f"training.budget={budget}", "training.min_examples=1"]
    study = compose_study("demo", [*overrides, "groupings=[unified]", "reference=unified", "scales=[1.0]",
                                   f"seeds={list(range(seeds))}", "name=affinity_cost"])  # fmt: skip
    progress = RichProgress()
    plan = make_plan(study, progress)
    cache = build_or_open(plan.manifest.dataset, study.data, progress)
    found = []
    for number, run in enumerate(plan.runs):
        data = run_data(plan.manifest, run.spec, cache)
        if number == 0:
            _plain(run, data, threads, parts=1)  # the process' first steps take longer
        plain = _plain(run, data, threads) if number % 2 == 0 else None
        start = time.process_time()
        training = train_with_probes(
            run.spec, run.study, data, Placement(threads), ProbeSettings(True, True, OVERHEAD), NoProgress()
        )
        cpu = time.process_time() - start
        steps, wall, plain_cpu = plain or _plain(run, data, threads)
        others = ~np.eye(tasks, dtype=bool)
        counts = [tally.counts[others] for tally in (training.probe.lookahead, training.probe.gradient)]
        spans = [(int(of.min()), int(of.max())) for of in counts]
        found.append(Pair(steps, wall, training.seconds, plain_cpu, cpu, *spans))
        print(f"{tasks} tasks, seed {run.spec.seed}: {found[-1]} ratio {found[-1].ratio:.2f}", flush=True)
    return found


def _plain(run: PlannedRun, data: RunData, threads: int, parts: int | None = None) -> tuple[int, float, float]:
    """Steps, seconds and processor seconds of the same training without probes; of its first parts."""
    torch.set_num_threads(threads)
    start_cpu = time.process_time()
    torch.manual_seed(derived_seed("run", run.spec.seed))
    network = build_network(run.study.model, list(data.tasks.values()), run.spec.seed)
    chosen = make_intervals(run.spec, run.study, data)[0][:parts]
    steps = sum(map(len, chosen))
    trainer = make_trainer(run.study, Placement(threads), None, len(chosen))
    trainer.limit_val_batches = 0
    module = make_module(network, run.study, data, chosen, Curve(data.tasks, {}, steps, keep_best=False))
    start = time.perf_counter()
    trainer.fit(module)
    return steps, time.perf_counter() - start, time.process_time() - start_cpu


def page_of(pairs: dict[int, list[Pair]], threads: int) -> str:
    """What the page says."""
    rows = [
        (
            f"{tasks}", f"{len(of)}", f"{of[0].steps:,}", f"{np.mean([p.plain for p in of]):.0f} s",
            f"{np.mean([p.probed for p in of]):.0f} s", _span([p.ratio for p in of]), _span([p.ratio_cpu for p in of]),
            f"{min(p.estimates[0] for p in of)} to {max(p.estimates[1] for p in of)}",
            f"{min(p.cosines[0] for p in of)} to {max(p.cosines[1] for p in of)}",
        )
        for tasks, of in pairs.items()
    ]  # fmt: skip
    worst = max(max(p.ratio, p.ratio_cpu) for of in pairs.values() for p in of)
    kept = "is kept" if worst <= LIMIT else "is NOT kept"
    columns = (
        "tasks",
        "pairs",
        "steps",
        "without",
        "with probes",
        "ratio",
        "in processor time",
        "lookahead",
        "cosines",
    )
    said = prose(
        "Phantoms, `model=tiny`, training alone. The last two columns say how many estimates each pair of tasks got in "
        f"one seed. The limit of {LIMIT} times the unified run {kept}: the largest ratio is {worst:.2f}."
    )
    return f"{said}\n\n{table(columns, rows)}\n\n{prose(machine(threads))}."


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--budget", default="200 examples")
    parser.add_argument("--tasks", type=int, nargs="*", default=[8, 27])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path, default=Path("docs/affinity.md"))
    asked = parser.parse_args()
    pairs = {tasks: measure(tasks, asked.budget, asked.pairs, asked.threads) for tasks in asked.tasks}
    write_part(asked.page, "cost", page_of(pairs, asked.threads))


if __name__ == "__main__":
    main()
