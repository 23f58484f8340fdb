"""The rule of advice, all of it: which cells count for a task, how they are combined, and when nothing is known.

docs/advice.md says the same in words, and why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.advice.evidence import CONFIDENCE, Effect, EvidenceCell
from usaggr.advice.meta_analysis import FEWEST, pool
from usaggr.advice.sharing_modes import NewTask, is_rule, like
from usaggr.document.display_names import plural
from usaggr.statistics.scale_trend import NEAR

Level = Literal["same task", "same clinical group", "same type"]
LEVELS: tuple[Level, ...] = ("same task", "same clinical group", "same type")
"""From the most to the least alike; the first one with enough cells is taken, and no other is looked at."""
Verdict = Literal["gain", "no_loss", "loss", "undecided", "not_known"]
WIDE = 3.0
"""Half an interval of more margins than this tells nothing."""


@dataclass(frozen=True)
class Prediction:
    """What sharing would change for a new task, in the unit of its margin (see `evidence.unit_of`)."""

    mean: float
    low: float
    high: float
    margin: float
    effects: int
    """Tasks that it rests on; of the same task, data sets."""
    tau: float | None
    """Standard deviation of true effects between them; None where there are too few to tell."""


@dataclass(frozen=True)
class WayAnswer:
    """What the evidence says of one way of sharing for one task."""

    way: str
    verdict: Verdict
    why: str
    """What the verdict rests on, or why nothing is known: a phrase."""
    level: Level | None
    prediction: Prediction | None
    cells: tuple[EvidenceCell, ...]
    """That count; without any, the verdict is `not_known`."""
    left_out: tuple[EvidenceCell, ...]
    """Of the same type with about as many training samples, that do not count; each says why."""


def near(one: int, other: int) -> bool:
    """Whether two numbers of training samples are alike: within a factor of NEAR."""
    return min(one, other) > 0 and max(one, other) <= NEAR * min(one, other)


def answer(new: NewTask, way: str, cells: Sequence[EvidenceCell]) -> WayAnswer:
    """What cells say of a way of sharing for a task. Cells of other ways and task types are passed over.

    Args:
        new: the task.
        way: as in `EvidenceCell.way`.
        cells: of all sweeps.
    """
    alike = [cell for cell in cells if cell.way == way and cell.task.type == new.task.type]
    close = [cell for cell in alike if near(cell.n_train, new.n_train)]
    usable = [cell for cell in close if not cell.unusable and cell.effect is not None]
    left_out = tuple(cell for cell in close if cell.unusable or cell.effect is None)
    for level in LEVELS if is_rule(way) else LEVELS[:2]:
        chosen = _nearest([cell for cell in usable if _belongs(level, new, cell)], new.n_train)
        groups = _by(chosen, _unit(level))
        if groups and (level == "same task" or len(groups) >= FEWEST):
            return _judged(new, way, level, chosen, groups, left_out)
    why = _why_not_known(new, alike, close, usable, is_rule(way))
    return WayAnswer(way, "not_known", why, None, None, (), left_out)


def bears_on(new: NewTask, cell: EvidenceCell) -> Level | None:
    """The level at which a cell speaks of a task, whether or not it counts; None: not at all."""
    if cell.task.type != new.task.type or not near(cell.n_train, new.n_train):
        return None
    levels = LEVELS if is_rule(cell.way) else LEVELS[:2]
    return next((level for level in levels if _belongs(level, new, cell)), None)


def by_interval(low: float, high: float, margin: float) -> Verdict:
    """The verdict of an interval, in the order of `evidence.verdicts`."""
    if low > 0:
        return "gain"
    if low > -margin:
        return "no_loss"
    return "loss" if high < 0 else "undecided"


def _belongs(level: Level, new: NewTask, cell: EvidenceCell) -> bool:
    match level:
        case "same task":
            return cell.task.id == new.task.id
        case "same clinical group":
            return like(new.task, cell.task)
        case "same type":
            return True


def _unit(level: Level) -> Callable[[EvidenceCell], str]:
    """What is an effect of its own: a data set, of the same task; else a task, in however many sweeps."""
    return (lambda cell: cell.content) if level == "same task" else (lambda cell: cell.task.id)


def _nearest(cells: Sequence[EvidenceCell], n_train: int) -> list[EvidenceCell]:
    """Of each sweep, task and grouping the scale that is nearest to a number of training samples; the larger of two."""
    best: dict[tuple[str, str, str], EvidenceCell] = {}
    for cell in sorted(cells, key=lambda c: (max(c.n_train, n_train) / min(c.n_train, n_train), -c.n_train)):
        best.setdefault((cell.sweep, cell.task.id, cell.grouping), cell)
    return sorted(best.values(), key=lambda c: (c.sweep, c.task.id, c.grouping))


def _by(cells: Sequence[EvidenceCell], unit: Callable[[EvidenceCell], str]) -> list[list[EvidenceCell]]:
    """Cells by what is an effect of its own."""
    groups: dict[str, list[EvidenceCell]] = {}
    for cell in cells:
        groups.setdefault(unit(cell), []).append(cell)
    return list(groups.values())


def _mean(cells: Sequence[EvidenceCell]) -> Effect:
    """The effect of cells that share data or task, so that several are no surer than one: it has the mean of their
    standard errors and of their bounds, as that of estimates which are fully correlated.
    """
    effects = [cell.effect for cell in cells if cell.effect is not None]
    n = len(effects)
    return Effect(
        sum(e.value for e in effects) / n,
        sum(e.se for e in effects) / n,
        sum(e.low for e in effects) / n,
        sum(e.high for e in effects) / n,
        min(e.margin for e in effects),
    )


def _predict(groups: Sequence[Sequence[EvidenceCell]]) -> Prediction:
    effects = [_mean(cells) for cells in groups]
    margin = min(effect.margin for effect in effects)
    if len(effects) >= FEWEST:
        sweeps = [tuple(sorted({cell.sweep for cell in cells})) for cells in groups]
        found = pool([e.value for e in effects], [e.se for e in effects], CONFIDENCE, sweeps)
        return Prediction(found.mean, found.low, found.high, margin, found.effects, found.tau)
    # The same task in one data set, or two: what data sets differ by is not known, so two are taken with all they span.
    low, high = min(e.low for e in effects), max(e.high for e in effects)
    return Prediction(sum(e.value for e in effects) / len(effects), low, high, margin, len(effects), None)


def _judged(
    new: NewTask,
    way: str,
    level: Level,
    cells: Sequence[EvidenceCell],
    groups: Sequence[Sequence[EvidenceCell]],
    left_out: tuple[EvidenceCell, ...],
) -> WayAnswer:
    predicted = _predict(groups)
    verdict = by_interval(predicted.low, predicted.high, predicted.margin)
    if len(cells) == 1 and cells[0].verdict in ("gain", "no_loss", "loss", "undecided"):
        verdict = cells[0].verdict  # type: ignore[assignment]
    why = _rests_on(new, level, cells, len(groups)) + (", with its own verdict" if len(cells) == 1 else "")
    said = {cell.verdict for cell in cells}
    if verdict == "undecided" and {"gain", "loss"} <= said:
        verdict, why = "not_known", f"the evidence contradicts itself: {_contradiction(cells)}"
    elif verdict == "undecided" and predicted.high - predicted.low > 2 * WIDE * predicted.margin:
        verdict, why = "not_known", f"the interval is wider than {WIDE:g} margins on either side ({why})"
    return WayAnswer(way, verdict, why, level, predicted, tuple(cells), left_out)


def _rests_on(new: NewTask, level: Level, cells: Sequence[EvidenceCell], effects: int) -> str:
    match level:
        case "same task":
            own = all(cell.content == new.content for cell in cells)
            of = "the same task in these very data" if own else f"the same task in {plural(effects, 'other data set')}"
            if not own and any(cell.content == new.content for cell in cells):
                of = f"the same task in these very data and {plural(effects - 1, 'other data set')}"
        case "same clinical group":
            of = f"{plural(effects, 'task')} of its type and clinical group"
        case "same type":
            of = f"{plural(effects, 'task')} of its type"
    return f"{of}, {plural(len(cells), 'cell')}"


def _contradiction(cells: Sequence[EvidenceCell]) -> str:
    counts = {name: [c.task.id for c in cells if c.verdict == name] for name in ("gain", "loss")}
    return "; ".join(f"{name} for {', '.join(sorted(set(ids))[:3])}" for name, ids in counts.items())


def _why_not_known(
    new: NewTask,
    alike: Sequence[EvidenceCell],
    close: Sequence[EvidenceCell],
    usable: Sequence[EvidenceCell],
    rule: bool,
) -> str:
    if not alike:
        return f"no {new.task.type} task was trained this way"
    if not close:
        sizes = sorted(cell.n_train for cell in alike)
        return f"{new.n_train} training samples here, {_span(sizes)} in the sweeps"
    if not usable:
        if all(cell.invalid for cell in close):
            return f"only collapsed or unconverged models ({plural(len(close), 'cell')})"
        reasons = sorted({cell.unusable for cell in close})
        return f"no cell counts: {reasons[0]}" + (f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else "")
    tasks = len({cell.task.id for cell in usable})
    what = "of its type" if rule else "of its type and clinical group"
    if not rule and not any(like(new.task, cell.task) for cell in usable):
        return "its blocks hold no such task"
    return f"{plural(tasks, 'task')} {what} and about its size; {FEWEST} are needed"


def _span(sizes: Sequence[int]) -> str:
    return f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
