"""The page docs/planted.md, from what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.generated import prose, table
from benchmarks.planted.draws import Cell, Judged, Truth

LEAST_SEEDS, LEAST_DRAWS = 40, 500
LEAST_SENSITIVITY = 0.8
MOST_FALSE = 0.075
EXPECTED = {"related": "gain", "conflicting": "loss"}
"""Verdict of a cell in which a relation is planted."""


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
    """Task: related, conflicting, by lot or unrelated."""
    grouping: str
    """In which the pairs are blocks."""
    subjects: int
    """Test subjects of a task."""
    training: Mapping[str, int]
    """Task: training samples."""


def cells(pool: Pool) -> list[Cell]:
    """Those of the pairs, in the order of relations."""
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


def report(pool: Pool, wrong: Sequence[str], figure: str, sheet: str, sections: Sequence[str], cost: str) -> str:
    """The page.

    Args:
        pool: what was measured.
        wrong: all that is not as asked.
        figure: picture of the pool.
        sheet: picture of its phantoms.
        sections: what was measured beside the pool, each with its title.
        cost: last paragraph.
    """
    outcome = "All targets are met." if not wrong else f"Not met: {'; '.join(wrong)}."
    false = pool.judged.false_families.get(pool.grouping, 0) / pool.judged.draws
    opposite = pool.judged.opposite.get("unified", 0) / pool.judged.draws
    parts = [
        _TITLE,
        prose(_OPENING.format(seeds=pool.seeds, draws=pool.judged.draws, size=pool.size, outcome=outcome)),
        _PLANTED.format(subjects=pool.subjects),
        table(["task", "relation", "training samples"], _relations(pool)),
        f"![Phantoms of the six tasks with their labels]({sheet})",
        _FOUND.format(margin=pool.margin),
        table(["task", "relation", "pool's difference", "s.e.", "gain", "no loss", "loss", "undecided", "asked"],
              _verdicts(pool)),
        f"![Differences of the pool's seeds, and verdicts of the studies drawn from it]({figure})",
        prose(_NULL.format(false=_percent(false), opposite=_percent(opposite))),
        *sections,
        f"## Cost\n\n{cost}",
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def cost(parts: Sequence[tuple[int, float]], machine: str) -> str:
    """Of all sweeps: their runs, and the seconds of these."""
    runs, seconds = (sum(of) for of in zip(*parts, strict=True))
    return prose(_COST.format(runs=int(runs), hours=seconds / 3600, each=seconds / runs, machine=machine))


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


_TITLE = "# Planted truth"
_OPENING = """
Do verdicts come out as planted, where networks are really trained? A pool of {seeds} seeds is trained on phantoms whose
relations are known; {draws} studies of {size} seeds are drawn from it without replacement, and each is judged by the
code that makes the tables of a report. The pool's mean difference is the truth. `make bench-planted` writes this page
anew. {outcome}
"""
_PLANTED = """
## What is planted

Six tasks on phantoms, {subjects} or more test subjects each, with the network `tiny`, trained alone,
in pairs, and all together (`benchmarks/planted/sweeps/planted.yaml`, which also says how much the conflicting labels
weigh). Relations are keys of the data, for any study:

- `data.synthetic.related={{A: B}}`: A shows other patients of B's anatomy, and asks what B asks. What one learns helps
  the other.
- `data.synthetic.conflicting={{A: B}}`: A shows other patients of B's anatomy, but each label of A is that of another
  image of A, drawn by lot. What A asks of a shared network is of no use to B and cannot be learned.
- Tasks with neither are *unrelated*: different anatomy, probe and question.
- `data.synthetic.samples_of={{A: 400}}`: how many images a task has.
"""
_FOUND = """
## What is found

Pairs against task-specific models, in DSC (tasks in `_det`: IoU of boxes); the margin is {margin:.3f}, half the mean of
what is planted. s.e.: of the pool's difference, over seeds. Verdicts: share of the draws.
"""
_NULL = """
A family (the tasks of one grouping) has a gain or loss among the cells where nothing is planted in {false} of the
draws; asked: at most 7.5 %. Under the unified model, where each task shares with all others, some cell has a
verdict against the sign of the pool's own difference in {opposite} of the draws.
"""
_COST = """
{runs} runs in {hours:.1f} hours of one thread, {each:.1f} s each ({machine}).
"""
