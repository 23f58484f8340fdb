"""How the experts of finished runs are used: reads each run's routing.csv, and makes two tables of them all.

Experts of different runs are never identified with each other: what is averaged over seeds is similarity of tasks
within a run.
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
from usaggr.metrics.dead_experts import dead_experts
from usaggr.results import contract
from usaggr.results.routing import Routing, read_routing
from usaggr.results.run_settings import read_model
from usaggr.statistics.routing_similarity import routing_similarity

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
"""Variants with figures of their own."""


class RoutingRow(NamedTuple):
    """How one run, as part of one grouping, uses one expert of one transformer block for one task."""

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
    """Whether the expert has under a tenth of an even share on every task of the run."""


class SimilarityRow(NamedTuple):
    """How alike two tasks are routed that one block of a grouping serves."""

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
    """Standard deviation of it over seeds; NaN with one seed."""
    seeds: int
    """Number of seeds."""


@dataclass(frozen=True)
class RunRouting:
    """How one finished run uses its experts, on the test fold."""

    run: CollectedRun
    routing: Routing

    @property
    def tasks(self) -> tuple[str, ...]:
        """T, in the run's order."""
        return self.routing.tasks

    @property
    def blocks(self) -> tuple[int, ...]:
        """B transformer blocks with experts, from 1."""
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
        """E."""
        return int(self.share.shape[-1])

    @property
    def top_k(self) -> int:
        """Experts that serve a token."""
        return round(float(self.chosen.sum(axis=-1).mean()))

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(B, E) experts with under a tenth of an even share on every task of the run."""
        return dead_experts(self.share)


@dataclass(frozen=True)
class RoutingTables:
    """All that figures and text say of experts."""

    runs: tuple[RunRouting, ...] = ()
    """In the collection's order."""
    faults: tuple[tuple[CollectedRun, str], ...] = ()
    """Finished runs that should say how they route, and why they do not."""
    similarities: tuple[SimilarityRow, ...] = ()
    """A row for each grouping, variant, scale and pair of tasks that one run serves, in the study's order."""

    def variants(self) -> tuple[str, ...]:
        """Those with a run that routes: base first, then in the study's order."""
        return tuple(sorted(dict.fromkeys(one.run.row.variant for one in self.runs), key=lambda name: name != "base"))

    def drawn(self) -> tuple[str, ...]:
        """Variants that have figures and tables of their own."""
        return self.variants()[:MOST_DRAWN]

    def shown(self, variant: str) -> tuple[RunRouting, ...]:
        """The runs that stand for a variant, by seed: of the block with the most tasks, at the largest scale."""
        of = [one for one in self.runs if one.run.row.variant == variant]
        if not of:
            return ()
        first = min(of, key=lambda one: (-len(one.tasks), -one.run.row.scale))
        same = [one for one in of if _like(one) == _like(first)]
        return tuple(sorted(same, key=lambda one: one.run.row.seed))


def _like(one: RunRouting) -> tuple[tuple[str, ...], Scale, tuple[int, ...], int]:
    """Return what runs that differ by seed alone have in common."""
    return one.tasks, one.run.row.scale, one.blocks, one.experts


def make_routing(comparison: StudyComparison) -> RoutingTables:
    """Read the routing of all finished runs that have experts and a router; nothing of a study without such runs."""
    collection = comparison.collection
    found, faults = [], []
    expected = _expected(collection)
    for run in collection.runs:
        if run.result is None or run.path is None:
            continue
        path = run.path / contract.ROUTING
        if not path.exists() and not expected.get(run.row.variant, False):
            continue
        try:
            found.append(RunRouting(run, read_routing(path, run.row.tasks)))
        except FileNotFoundError:
            faults.append((run, f"has no {contract.ROUTING}"))
        except RunError as error:
            faults.append((run, f"its {contract.ROUTING} cannot be used ({error})"))
    return RoutingTables(tuple(found), tuple(faults), _similarities(found))


def make_routing_table(runs: Iterable[RunRouting]) -> pd.DataFrame:
    """Return the table that routing.csv is written from."""
    rows = (row for run in runs for row in routing_rows(run))
    return pd.DataFrame(list(rows), columns=list(ROUTING_COLUMNS))


def routing_rows(one: RunRouting) -> Iterator[RoutingRow]:
    """Yield a row for each grouping of a run, task, transformer block and expert."""
    row, routing, dead = one.run.row, one.routing, one.dead
    for grouping in row.groupings:
        for t, b, e in product(range(len(one.tasks)), range(len(one.blocks)), range(one.experts)):
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


def make_similarity_table(rows: Sequence[SimilarityRow]) -> pd.DataFrame:
    """Return the table that routing_similarity.csv is written from."""
    return pd.DataFrame(rows, columns=list(SIMILARITY_COLUMNS))


def _similarities(found: Sequence[RunRouting]) -> tuple[SimilarityRow, ...]:
    """Each pair of tasks of a run, over the seeds of its block; in the study's order."""
    known: dict[tuple[str, str, Scale, str, str], list[float]] = {}
    for one in found:
        row = one.run.row
        if len(one.tasks) < 2:
            continue
        matrix = routing_similarity(one.share)
        for grouping, (a, b) in product(row.groupings, combinations(range(len(one.tasks)), 2)):
            pair = (grouping, row.variant, row.scale, one.tasks[a], one.tasks[b])
            known.setdefault(pair, []).append(float(matrix[a, b]))
    return tuple(
        SimilarityRow(*pair, float(np.mean(of)), float(np.std(of, ddof=1)) if len(of) > 1 else math.nan, len(of))
        for pair, of in known.items()
    )


def mean_similarity(runs: Sequence[RunRouting]) -> Array:
    """(T, T) mean over runs of the same tasks, which differ by seed."""
    return np.asarray(np.mean([routing_similarity(one.share) for one in runs], axis=0))


def _expected(collection: Collection) -> Mapping[str, bool]:
    """Variant: whether its runs should say how they route, as far as one of them tells what its network is."""
    known: dict[str, bool] = {}
    for run in collection.runs:
        if run.result is not None and run.path is not None and run.row.variant not in known:
            model = read_model(run.path)
            if model:
                known[run.row.variant] = _routes(model)
    return known


def _routes(model: Mapping[str, object]) -> bool:
    experts = model.get("experts")
    router = experts.get("router") if isinstance(experts, dict) else None
    return (model.get("name"), model.get("conditioning")) == ("m2dino", "experts") and router != "uniform"
