"""Tables of the use of experts in finished runs, from the routing.csv of each run.

Experts of different runs are never matched with each other. Averages over seeds are of the similarity of tasks within a
run.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.compare_study import StudyComparison
from usaggr.errors import RunError
from usaggr.metrics.dead_experts import find_dead_experts
from usaggr.results import contract
from usaggr.results.routing import Routing, read_routing
from usaggr.results.run_settings import read_model
from usaggr.statistics.routing_similarity import compute_routing_similarity

Array = NDArray[np.float64]
Scale = float | int

ROUTING_COLUMNS = (
    "grouping", "variant", "scale", "seed", "run_id", "task", "block", "expert", "share", "chosen", "probability",
    "entropy", "dead",
)  # fmt: skip
"""Columns of routing.csv, one for each field of `RoutingRow`."""
SIMILARITY_COLUMNS = ("grouping", "variant", "scale", "task_a", "task_b", "similarity", "sd", "seeds")
"""Columns of routing_similarity.csv, one for each field of `SimilarityRow`."""
MOST_DRAWN = 4
"""Largest number of variants with figures."""


class RoutingRow(NamedTuple):
    """Use of one expert of one transformer block for one task, in one run of one grouping."""

    grouping: str
    """Grouping that the run is part of."""
    variant: str
    """Variant of the run."""
    scale: Scale
    """Scale of the run."""
    seed: int
    """Seed of the run."""
    run_id: str
    """Name of the run."""
    task: str
    """The task that is routed."""
    block: int
    """Transformer block, from 1."""
    expert: int
    """Expert of the block, from 1."""
    share: float
    """Mean combination weight of the expert over the task's tokens, in [0, 1]."""
    chosen: float
    """Fraction of the task's tokens that have the expert among their top k."""
    probability: float
    """Mean over the task's tokens of the router's softmax for the expert."""
    entropy: float
    """Mean over the task's tokens of the softmax's entropy over log E, in [0, 1]."""
    dead: bool
    """True if the expert has less than a tenth of an even share on every task of the run."""


class SimilarityRow(NamedTuple):
    """Similarity of the routing of two tasks that share a model."""

    grouping: str
    """Grouping of the block."""
    variant: str
    """Variant of the runs."""
    scale: Scale
    """Scale of the runs."""
    task_a: str
    """The first task, in the order of the runs."""
    task_b: str
    """The second task."""
    similarity: float
    """Similarity of their routing within one run, mean over seeds, in [0, 1]."""
    sd: float
    """Standard deviation of the similarity over seeds; NaN with one seed."""
    seeds: int
    """Number of seeds."""


@dataclass(frozen=True)
class RunRouting:
    """Use of experts in one finished run, on the test set."""

    run: CollectedRun
    routing: Routing

    @property
    def tasks(self) -> tuple[str, ...]:
        """The T tasks, in the run's order."""
        return self.routing.tasks

    @property
    def blocks(self) -> tuple[int, ...]:
        """The B transformer blocks with experts, from 1."""
        return self.routing.blocks

    @property
    def share(self) -> Array:
        """(T, B, E) mean combination weight over the task's tokens; sums to 1 over experts."""
        return self.routing.share

    @property
    def chosen(self) -> Array:
        """(T, B, E) fraction of tokens that have the expert among their top k; sums to k."""
        return self.routing.chosen

    @property
    def entropy(self) -> Array:
        """(T, B) mean over tokens of the softmax's entropy over log E, in [0, 1]."""
        return self.routing.entropy

    @property
    def experts(self) -> int:
        """Number E of experts per block."""
        return int(self.share.shape[-1])

    @property
    def top_k(self) -> int:
        """Number of experts that each token uses."""
        # Each token chooses k experts, so that the fractions sum to k up to rounding in the file.
        return round(float(self.chosen.sum(axis=-1).mean()))

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(B, E) mask of experts with less than a tenth of an even share on every task of the run."""
        return find_dead_experts(self.share)


@dataclass(frozen=True)
class RoutingTables:
    """Use of experts in all runs of a study, for figures and text."""

    runs: tuple[RunRouting, ...] = ()
    """Runs with readable routing, in the collection's order."""
    errors: tuple[tuple[CollectedRun, str], ...] = ()
    """Finished runs with experts whose routing is missing or unreadable, with the reason."""
    similarities: tuple[SimilarityRow, ...] = ()
    """A row for each grouping, variant, scale and pair of tasks that one run serves, in the study's order."""

    def list_variants(self) -> tuple[str, ...]:
        """Return the variants that have a run with experts: base first, then in the study's order."""
        # `sorted` is stable, so the variants after base keep the order of the study.
        return tuple(
            sorted(dict.fromkeys(routed.run.row.variant for routed in self.runs), key=lambda name: name != "base")
        )

    def list_drawn_variants(self) -> tuple[str, ...]:
        """Return the variants with figures and separate tables."""
        return self.list_variants()[:MOST_DRAWN]

    def select_runs(self, variant: str) -> tuple[RunRouting, ...]:
        """Return the runs that represent a variant: of the block with the most tasks at the largest scale, by seed."""
        runs = [routed for routed in self.runs if routed.run.row.variant == variant]
        if not runs:
            return ()
        # The block with the most tasks shows the most pairs of tasks.
        first = min(runs, key=lambda routed: (-len(routed.tasks), -routed.run.row.scale))
        same = [routed for routed in runs if _get_model_and_scale(routed) == _get_model_and_scale(first)]
        return tuple(sorted(same, key=lambda routed: routed.run.row.seed))


def _get_model_and_scale(routed: RunRouting) -> tuple[tuple[str, ...], Scale, tuple[int, ...], int]:
    """Return the properties that runs have in common if they differ only by seed."""
    return routed.tasks, routed.run.row.scale, routed.blocks, routed.experts


def make_routing(comparison: StudyComparison) -> RoutingTables:
    """Read the routing of all finished runs that have experts and a router."""
    collection = comparison.collection
    runs: list[RunRouting] = []
    errors: list[tuple[CollectedRun, str]] = []
    expected = _expect_routing(collection)
    for run in collection.runs:
        if run.result is None or run.path is None:
            continue
        path = run.path / contract.ROUTING
        # Networks without experts have no routing.csv; only where one should exist, its absence is reported.
        if not path.exists() and not expected.get(run.row.variant, False):
            continue
        try:
            runs.append(RunRouting(run, read_routing(path, run.row.tasks)))
        except FileNotFoundError:
            errors.append((run, f"has no {contract.ROUTING}"))
        except RunError as error:
            errors.append((run, f"its {contract.ROUTING} cannot be used ({error})"))
    return RoutingTables(tuple(runs), tuple(errors), _compare_tasks(runs))


def make_routing_table(runs: Iterable[RunRouting]) -> pd.DataFrame:
    """Return the table that routing.csv is written from."""
    lines = (row for run in runs for row in make_routing_rows(run))
    return pd.DataFrame(list(lines), columns=list(ROUTING_COLUMNS))


def make_routing_rows(routed: RunRouting) -> Iterator[RoutingRow]:
    """Yield a row for each grouping of a run, task, transformer block and expert."""
    row, routing, dead = routed.run.row, routed.routing, routed.dead
    for grouping in row.groupings:
        for t, b, e in product(range(len(routed.tasks)), range(len(routed.blocks)), range(routed.experts)):
            yield RoutingRow(
                grouping=grouping,
                variant=row.variant,
                scale=row.scale,
                seed=row.seed,
                run_id=row.run_id,
                task=routing.tasks[t],
                block=routing.blocks[b],
                expert=e + 1,
                share=routing.share[t, b, e],
                chosen=routing.chosen[t, b, e],
                probability=routing.probability[t, b, e],
                entropy=routing.entropy[t, b],
                dead=bool(dead[b, e]),
            )


def make_similarity_table(similarities: Sequence[SimilarityRow]) -> pd.DataFrame:
    """Return the table that routing_similarity.csv is written from."""
    return pd.DataFrame(similarities, columns=list(SIMILARITY_COLUMNS))


def _compare_tasks(runs: Sequence[RunRouting]) -> tuple[SimilarityRow, ...]:
    """Return the similarity of each pair of tasks of a run over the seeds of its block, in the study's order."""
    by_pair: dict[tuple[str, str, Scale, str, str], list[float]] = {}
    for routed in runs:
        row = routed.run.row
        if len(routed.tasks) < 2:
            continue
        matrix = compute_routing_similarity(routed.share)
        for grouping, (a, b) in product(row.groupings, combinations(range(len(routed.tasks)), 2)):
            # Seeds differ in nothing else, so that each contributes one value to the pair.
            pair = (grouping, row.variant, row.scale, routed.tasks[a], routed.tasks[b])
            by_pair.setdefault(pair, []).append(float(matrix[a, b]))
    return tuple(
        SimilarityRow(*pair, float(np.mean(seeds)), _compute_sd(seeds), len(seeds)) for pair, seeds in by_pair.items()
    )


def _compute_sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def average_similarity(runs: Sequence[RunRouting]) -> Array:
    """Return the (T, T) similarity of routing, mean over runs of the same tasks that differ by seed."""
    return np.asarray(np.mean([compute_routing_similarity(routed.share) for routed in runs], axis=0))


def _expect_routing(collection: Collection) -> Mapping[str, bool]:
    """Return for each variant whether its runs should have routing, as far as a run records its network."""
    expected: dict[str, bool] = {}
    for run in collection.runs:
        if run.result is not None and run.path is not None and run.row.variant not in expected:
            model = read_model(run.path)
            if model:
                expected[run.row.variant] = _has_router(model)
    return expected


def _has_router(model: Mapping[str, object]) -> bool:
    experts = model.get("experts")
    router = experts.get("router") if isinstance(experts, dict) else None
    return (model.get("name"), model.get("conditioning")) == ("m2dino", "experts") and router != "uniform"
