"""Measure the cost of affinity in pairs: the same unified run with probes and without.

    python -m benchmarks.affinity.cost [--pairs N] [--budget "200 examples"] [--page docs/affinity.md]

Both runs of a pair train the same steps of the same catalog tasks on phantoms. They skip validation and scores, so the
ratio is the largest that a complete run can have. The ratio of processor times remains valid on a machine with other
load. A pair takes about two minutes on two cores.
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
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.data.seeds import derive_seed
from usaggr.models.build_network import build_network
from usaggr.progress import NoProgress, RichProgress
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import PlannedRun, make_plan
from usaggr.tasks import CATALOGUE
from usaggr.training.run import make_intervals, make_module
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve

LIMIT = 1.5
"""Largest permitted cost of affinity, relative to the unified run."""


@dataclass(frozen=True)
class Pair:
    """Times of one seed's run with probes and without."""

    steps: int
    plain: float
    """Seconds of training without probes."""
    probed: float
    """Seconds of training with probes."""
    plain_cpu: float
    """Processor seconds without probes."""
    probed_cpu: float
    """Processor seconds with probes."""
    estimates: tuple[int, int]
    """Fewest and most `lookahead` estimates of a pair of tasks."""
    cosines: tuple[int, int]
    """Fewest and most `gradient` estimates of a pair of tasks."""

    @property
    def ratio(self) -> float:
        """Time with probes relative to the time without."""
        return self.probed / self.plain

    @property
    def ratio_cpu(self) -> float:
        """Processor time with probes relative to that without."""
        return self.probed_cpu / self.plain_cpu


def measure(tasks: int, budget: str, seeds: int, threads: int) -> list[Pair]:
    """Time a pair of runs for each seed; the order of the two runs alternates."""
    names = sorted(CATALOGUE)[:tasks]
    overrides = [f"data.synthetic.tasks=[{','.join(names)}]", f"training.budget={budget}", "training.min_examples=1"]
    study = compose_study("demo", [*overrides, "groupings=[unified]", "reference=unified", "scales=[1.0]",
                                   f"seeds={list(range(seeds))}", "name=affinity_cost"])  # fmt: skip
    progress = RichProgress()
    plan = make_plan(study, progress)
    cache = build_or_open(plan.manifest.dataset, study.data, progress)
    measured = []
    for number, run in enumerate(plan.runs):
        data = select_run_data(plan.manifest, run.spec, cache)
        if number == 0:
            _plain(run, data, threads, parts=1)  # the first steps of a process take longer
        plain = _plain(run, data, threads) if number % 2 == 0 else None
        start = time.process_time()
        training = train_with_probes(
            run.spec, run.study, data, Placement(threads), ProbeSettings(True, True, OVERHEAD), NoProgress()
        )
        cpu = time.process_time() - start
        steps, wall, plain_cpu = plain or _plain(run, data, threads)
        off_diagonal = ~np.eye(tasks, dtype=bool)
        counts = [tally.counts[off_diagonal] for tally in (training.probe.lookahead, training.probe.gradient)]
        spans = [(int(count.min()), int(count.max())) for count in counts]
        measured.append(Pair(steps, wall, training.seconds, plain_cpu, cpu, *spans))
        print(f"{tasks} tasks, seed {run.spec.seed}: {measured[-1]} ratio {measured[-1].ratio:.2f}", flush=True)
    return measured


def _plain(run: PlannedRun, data: RunData, threads: int, parts: int | None = None) -> tuple[int, float, float]:
    """Train without probes and return steps, seconds and processor seconds.

    Args:
        run: Planned unified run.
        data: Data of the run.
        threads: Threads of torch.
        parts: Number of validation intervals to train; None: all.
    """
    torch.set_num_threads(threads)
    start_cpu = time.process_time()
    torch.manual_seed(derive_seed("run", run.spec.seed))
    network = build_network(run.study.model, list(data.tasks.values()), run.spec.seed)
    chosen = make_intervals(run.spec, run.study, data)[0][:parts]
    steps = sum(map(len, chosen))
    trainer = make_trainer(run.study, Placement(threads), None, len(chosen))
    trainer.limit_val_batches = 0
    module = make_module(network, run.study, data, chosen, Curve(data.tasks, {}, steps, keep_best=False))
    start = time.perf_counter()
    trainer.fit(module)
    return steps, time.perf_counter() - start, time.process_time() - start_cpu


def make_section(pairs: dict[int, list[Pair]], threads: int) -> str:
    """Return the section of the page."""
    lines = [
        (
            f"{tasks}", f"{len(group)}", f"{group[0].steps:,}", f"{np.mean([p.plain for p in group]):.0f} s",
            f"{np.mean([p.probed for p in group]):.0f} s", _span([p.ratio for p in group]),
            f"{min(p.estimates[0] for p in group)} to {max(p.estimates[1] for p in group)}",
            f"{min(p.cosines[0] for p in group)} to {max(p.cosines[1] for p in group)}",
        )
        for tasks, group in pairs.items()
    ]  # fmt: skip
    worst = max(max(p.ratio, p.ratio_cpu) for group in pairs.values() for p in group)
    outcome = "is met" if worst <= LIMIT else "is NOT met"
    columns = ("tasks", "pairs", "steps", "without", "with probes", "ratio", "lookahead", "cosines")
    opening = prose(
        "Phantoms, `model=tiny`, without validation. Last two columns: estimates per pair of tasks and seed. The limit "
        f"of {LIMIT} times the unified run {outcome}: the largest ratio, also in processor time, is {worst:.2f}."
    )
    return f"{opening}\n\n{table(columns, lines)}\n\n{prose(machine(threads))}."


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def main() -> None:
    """Measure the pairs and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--budget", default="200 examples")
    parser.add_argument("--tasks", type=int, nargs="*", default=[8, 27])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path, default=Path("docs/affinity.md"))
    options = parser.parse_args()
    pairs = {tasks: measure(tasks, options.budget, options.pairs, options.threads) for tasks in options.tasks}
    write_part(options.page, "cost", make_section(pairs, options.threads))


if __name__ == "__main__":
    main()
