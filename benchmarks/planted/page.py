"""Section of docs/planted.md about gains and losses in the pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.generated import prose, table
from benchmarks.planted.draws import Cell, Judged, Truth

LEAST_SEEDS, LEAST_DRAWS = 40, 500
LEAST_SENSITIVITY = 0.8
MOST_FALSE = 0.075
EXPECTED = {"related": "gain", "conflicting": "loss"}
"""Expected verdict on a task with a planted relation."""


@dataclass(frozen=True)
class Pool:
    """Measurements of the pool of trained runs and of the studies drawn from it."""

    seeds: int
    """Number of seeds of the pool."""
    size: int
    """Number of seeds of a drawn study."""
    runs: int
    seconds: float
    """Seconds of all runs together, on one thread each."""
    margin: float
    truth: Mapping[Cell, Truth]
    judged: Judged
    relations: Mapping[str, str]
    """Relation of each task: related, conflicting, random labels or unrelated."""
    grouping: str
    """Grouping with one block each of related, conflicting and unrelated tasks."""
    subjects: int
    """Smallest number of test subjects of a task."""
    training: Mapping[str, int]
    """Number of training samples of each task."""


def list_cells(pool: Pool) -> list[Cell]:
    """Return the cells of the grouping, in the order of relations."""
    selected = [cell for cell in pool.truth if cell[0] == pool.grouping]
    order = list(dict.fromkeys(pool.relations.values()))
    return sorted(selected, key=lambda cell: (order.index(pool.relations[cell[2]]), cell[2]))


def list_planted_cells(pool: Pool) -> list[Cell]:
    """Return the cells with a planted difference."""
    return [cell for cell in list_cells(pool) if pool.relations[cell[2]] in EXPECTED]


def list_failures(pool: Pool) -> list[str]:
    """Return a message for each target that is not met."""
    messages = []
    if pool.seeds < LEAST_SEEDS or pool.judged.draws < LEAST_DRAWS:
        few = f"{pool.judged.draws} draws from {pool.seeds} seeds"
        messages.append(f"{few}, too few for these rates; required: {LEAST_DRAWS} from {LEAST_SEEDS}")
    for cell in list_planted_cells(pool):
        verdict = EXPECTED[pool.relations[cell[2]]]
        if pool.judged.rate(cell, verdict) < LEAST_SENSITIVITY:
            messages.append(f"{cell[2]}: {verdict} in {_percent(pool.judged.rate(cell, verdict))} of the draws")
    false = pool.judged.false_families.get(pool.grouping, 0) / pool.judged.draws
    if false > MOST_FALSE:
        messages.append(f"unrelated tasks: a gain or loss in {_percent(false)} of the draws")
    return messages


def report(pool: Pool, figure: str, sheet: str) -> str:
    """Return the section of the page.

    Args:
        pool: Measurements.
        figure: Path of the figure, relative to the page.
        sheet: Path of the picture of phantoms, relative to the page.
    """
    false = pool.judged.false_families.get(pool.grouping, 0) / pool.judged.draws
    opposite = pool.judged.opposite.get("unified", 0) / pool.judged.draws
    sections = [
        prose(_PLANTED.format(tasks=len(pool.relations), seeds=pool.seeds, subjects=pool.subjects)),
        prose(f"Training samples: {_training_samples(pool)}."),
        f"![Phantoms of the tasks with their labels]({sheet})",
        prose(_VERDICTS_INTRODUCTION.format(
            draws=pool.judged.draws, size=pool.size, margin=pool.margin, sampling=f"{SAMPLING} {_REMOVED}"
        )),
        table(["task", "relation", "pool's difference", "s.e.", "gain", "no loss", "loss", "undecided", "target"],
              _verdicts(pool)),
        f"![Differences of the pool, and verdicts of the draws]({figure})",
        prose(_NULL.format(false=_percent(false), opposite=_percent(opposite))),
        cost([(pool.runs, pool.seconds)]),
    ]  # fmt: skip
    return "\n\n".join(section.strip() for section in sections)


def cost(parts: Sequence[tuple[int, float]]) -> str:
    """Return a sentence on the cost of sweeps, each given as its number of runs and their seconds."""
    runs, seconds = (sum(numbers) for numbers in zip(*parts, strict=True))
    return prose(f"Cost: {int(runs)} runs, {seconds / 3600:.1f} hours of one thread.")


def _training_samples(pool: Pool) -> str:
    return ", ".join(f"{cell[2]} {pool.training[cell[2]]}" for cell in list_cells(pool))


def _verdicts(pool: Pool) -> list[list[str]]:
    lines = []
    for cell in list_cells(pool):
        relation, truth = pool.relations[cell[2]], pool.truth[cell]
        rates = [f"{pool.judged.rate(cell, v):.1%}" for v in ("gain", "no_loss", "loss", "undecided")]
        target = f"{EXPECTED[relation]} >= {LEAST_SENSITIVITY:.0%}" if relation in EXPECTED else "neither"
        lines.append([cell[2], relation, f"{truth.delta:+.3f}", f"{truth.error:.3f}", *rates, target])
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


_PLANTED = """
{tasks} phantom tasks, with at least {subjects} test subjects each, are trained with the network `tiny` and {seeds}
seeds: one model per task, per relation, and for all tasks (`benchmarks/planted/sweeps/planted.yaml`). The pool's mean
difference counts as the true one.
"""
_VERDICTS_INTRODUCTION = """
{draws} studies of {size} seeds are drawn {sampling} The table compares models per relation with models per
task, in DSC (`_det`: IoU), with a margin of {margin:.3f}, half of the mean planted difference. *s.e.*: standard error
over seeds. Verdicts: share of the draws.
"""
SAMPLING = """
with replacement, and their test subjects too, because intervals allow for other seeds and other subjects.
"""
"""Description of the draws, in all sections."""
_REMOVED = """
In cells without planted difference the pool's difference is removed, so that their true difference is 0.
"""
_NULL = """
In {false} of the draws, at least one cell without planted difference has a gain or loss (target: at most 7.5 %). Under
the unified model, a gain or loss has the opposite sign of the pool's difference in {opposite} of the draws.
"""
