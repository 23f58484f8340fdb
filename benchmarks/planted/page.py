"""The part of docs/planted.md about the pool, from what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.generated import prose, table
from benchmarks.planted.draws import Cell, Judged, Truth

LEAST_SEEDS, LEAST_DRAWS = 40, 500
LEAST_SENSITIVITY = 0.8
MOST_FALSE = 0.075
EXPECTED = {"related": "gain", "conflicting": "loss"}
"""Verdict that is to be found of a task in which a relation is planted."""


@dataclass(frozen=True)
class Pool:
    """What the pool of trained runs says, and the studies drawn from it."""

    seeds: int
    size: int
    """Seeds of a drawn study."""
    runs: int
    seconds: float
    """Of all runs together, on one thread each."""
    margin: float
    truth: Mapping[Cell, Truth]
    judged: Judged
    relations: Mapping[str, str]
    """Task: related, conflicting, labels by lot or unrelated."""
    grouping: str
    """Whose blocks are the related tasks, the conflicting and the unrelated ones."""
    subjects: int
    """Test subjects of a task."""
    training: Mapping[str, int]
    """Task: training samples."""


def cells(pool: Pool) -> list[Cell]:
    """Those of the grouping, in the order of relations."""
    found = [cell for cell in pool.truth if cell[0] == pool.grouping]
    order = list(dict.fromkeys(pool.relations.values()))
    return sorted(found, key=lambda cell: (order.index(pool.relations[cell[2]]), cell[2]))


def planted_cells(pool: Pool) -> list[Cell]:
    """Those whose verdict is to be found."""
    return [cell for cell in cells(pool) if pool.relations[cell[2]] in EXPECTED]


def failures(pool: Pool) -> list[str]:
    """What is not as asked."""
    found = []
    if pool.seeds < LEAST_SEEDS or pool.judged.draws < LEAST_DRAWS:
        few = f"{pool.judged.draws} draws from {pool.seeds} seeds"
        found.append(f"{few}, too few for these rates; asked: {LEAST_DRAWS} from {LEAST_SEEDS}")
    for cell in planted_cells(pool):
        verdict = EXPECTED[pool.relations[cell[2]]]
        if pool.judged.rate(cell, verdict) < LEAST_SENSITIVITY:
            found.append(f"{cell[2]}: {verdict} in {_percent(pool.judged.rate(cell, verdict))} of the draws")
    false = pool.judged.false_families.get(pool.grouping, 0) / pool.judged.draws
    if false > MOST_FALSE:
        found.append(f"unrelated tasks: a gain or loss in {_percent(false)} of the draws")
    return found


def report(pool: Pool, figure: str, sheet: str) -> str:
    """The part of the page.

    Args:
        pool: what was measured.
        figure: picture of it.
        sheet: picture of its phantoms.
    """
    false = pool.judged.false_families.get(pool.grouping, 0) / pool.judged.draws
    opposite = pool.judged.opposite.get("unified", 0) / pool.judged.draws
    parts = [
        prose(_PLANTED.format(tasks=len(pool.relations), seeds=pool.seeds, subjects=pool.subjects)),
        table(["task", "relation", "training samples"], _relations(pool)),
        f"![Phantoms of the tasks with their labels]({sheet})",
        prose(_FOUND.format(draws=pool.judged.draws, size=pool.size, margin=pool.margin)),
        table(["task", "relation", "pool's difference", "s.e.", "gain", "no loss", "loss", "undecided", "asked"],
              _verdicts(pool)),
        f"![Differences of the pool's seeds, and verdicts of the studies drawn from it]({figure})",
        prose(_NULL.format(false=_percent(false), opposite=_percent(opposite))),
        cost([(pool.runs, pool.seconds)]),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts)


def cost(parts: Sequence[tuple[int, float]]) -> str:
    """Of sweeps: their runs, and the seconds of these."""
    runs, seconds = (sum(of) for of in zip(*parts, strict=True))
    return prose(f"Cost: {int(runs)} runs in {seconds / 3600:.1f} hours of one thread, {seconds / runs:.1f} s each.")


def _relations(pool: Pool) -> list[list[str]]:
    return [[cell[2], pool.relations[cell[2]], str(pool.training[cell[2]])] for cell in cells(pool)]


def _verdicts(pool: Pool) -> list[list[str]]:
    rows = []
    for cell in cells(pool):
        relation, truth = pool.relations[cell[2]], pool.truth[cell]
        rates = [_percent(pool.judged.rate(cell, v)) for v in ("gain", "no_loss", "loss", "undecided")]
        asked = f"{EXPECTED[relation]} >= {LEAST_SENSITIVITY:.0%}" if relation in EXPECTED else "neither gain nor loss"
        rows.append([cell[2], relation, f"{truth.delta:+.3f}", f"{truth.error:.3f}", *rates, asked])
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


_PLANTED = """
{tasks} tasks on phantoms, {subjects} or more test subjects each, with the network `tiny`, trained alone, by relation,
and all together, with {seeds} seeds (`benchmarks/planted/sweeps/planted.yaml`, which also says how much the conflicting
labels weigh). The pool's mean difference is the truth.
"""
_FOUND = """
{draws} studies of {size} seeds are drawn from the pool without replacement. By relation against task-specific models,
in DSC (tasks in `_det`: IoU of boxes); the margin is {margin:.3f}, half the mean of what is planted. s.e.: of the
pool's difference, over seeds. Verdicts: share of the draws.
"""
_NULL = """
A family (the tasks of one grouping) has a gain or loss among the cells where nothing is planted in {false} of the
draws; asked: at most 7.5 %. Under the unified model, where each task shares with all others, some cell has a
verdict against the sign of the pool's own difference in {opposite} of the draws.
"""
