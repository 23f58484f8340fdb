"""The rule of advice: which cells count for a task, how they are combined, and when the answer is not known.

docs/advice.md explains the rule and its reasons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.advice.evidence import CONFIDENCE, Effect, EvidenceCell
from usaggr.advice.meta_analysis import MIN_EFFECTS, pool
from usaggr.advice.sharing_modes import NewTask, is_rule, is_similar
from usaggr.document.display_names import describe_rarer_failures, pluralize
from usaggr.metrics.names import get_main_metric
from usaggr.statistics.scale_trend import NEAR

Level = Literal["same task", "same clinical group", "same type"]
LEVELS: tuple[Level, ...] = ("same task", "same clinical group", "same type")
"""Levels of similarity, from most to least similar; only the first level with enough cells is used."""
Verdict = Literal["gain", "no_loss", "loss", "undecided", "not_known"]
MAX_HALF_WIDTH = 3.0
"""Largest half width, in margins, of an undecided interval that is still reported as undecided."""


@dataclass(frozen=True)
class Prediction:
    """Predicted effect of sharing on a new task, in the unit of its margin (see `evidence.get_margin_unit`)."""

    mean: float
    low: float
    """Lower bound of the prediction interval."""
    high: float
    """Upper bound of the prediction interval."""
    margin: float
    """Largest loss that counts as no loss, above 0."""
    effects: int
    """Number of tasks that were pooled; for the same task, number of data sets."""
    tau: float | None
    """Standard deviation of their true effects; None if there are too few to estimate it."""


@dataclass(frozen=True)
class ModeResult:
    """Verdict on one sharing mode for one task, with its evidence."""

    mode: str
    verdict: Verdict
    reason: str
    """Evidence for the verdict, or the reason why it is not known, as a phrase."""
    level: Level | None
    """Similarity of the cells' tasks to the new task; None without cells."""
    prediction: Prediction | None
    cells: tuple[EvidenceCell, ...]
    """Cells that count; if there are none, the verdict is `not_known`."""
    left_out: tuple[EvidenceCell, ...]
    """Cells of the same type with a similar number of training samples that do not count; `unusable` states why."""
    rarer_than: int | None = None
    """N of a no loss that holds only apart from failures rarer than 1 in N; None for all other verdicts."""


def is_near(n_train: int, other: int) -> bool:
    """Return whether two numbers of training samples differ by at most a factor of NEAR."""
    return min(n_train, other) > 0 and max(n_train, other) <= NEAR * min(n_train, other)


def assess_mode(new: NewTask, mode: str, cells: Sequence[EvidenceCell]) -> ModeResult:
    """Return the verdict of the evidence on one sharing mode for a task.

    Args:
        new: The task.
        mode: Sharing mode, as in `EvidenceCell.mode`.
        cells: Cells of all sweeps; those of other modes and task types are ignored.
    """
    same_type = [cell for cell in cells if cell.mode == mode and cell.task.type == new.task.type]
    near = [cell for cell in same_type if is_near(cell.n_train, new.n_train)]
    usable = [cell for cell in near if not cell.unusable and cell.effect is not None]
    left_out = tuple(cell for cell in near if cell.unusable or cell.effect is None)
    # Without a rule, only a task that is similar to a block's member shows which block the new task would join.
    for level in LEVELS if is_rule(mode) else LEVELS[:2]:
        chosen = _choose_scales([cell for cell in usable if _is_at_level(level, new, cell)], new.n_train)
        groups = _group_cells(chosen, _get_effect_key(level))
        if groups and (level == "same task" or len(groups) >= MIN_EFFECTS):
            return _combine_evidence(new, mode, level, groups, left_out)
    reason = _explain_no_result(new, same_type, near, usable, is_rule(mode))
    return ModeResult(mode, "not_known", reason, None, None, (), left_out)


def find_level(new: NewTask, cell: EvidenceCell) -> Level | None:
    """Return the highest similarity at which a cell concerns a task, usable or not; None if it does not."""
    if cell.task.type != new.task.type or not is_near(cell.n_train, new.n_train):
        return None
    levels = LEVELS if is_rule(cell.mode) else LEVELS[:2]
    return next((level for level in levels if _is_at_level(level, new, cell)), None)


def decide_verdict(low: float, high: float, margin: float) -> Verdict:
    """Return the verdict of an interval, by the same order as `statistics.verdicts`.

    Args:
        low: Lower bound, positive if sharing is better.
        high: Upper bound.
        margin: Largest loss that counts as no loss, above 0.
    """
    if low > 0:
        return "gain"
    if low > -margin:
        return "no_loss"
    return "loss" if high < 0 else "undecided"


def _is_at_level(level: Level, new: NewTask, cell: EvidenceCell) -> bool:
    match level:
        case "same task":
            return cell.task.id == new.task.id
        case "same clinical group":
            return is_similar(new.task, cell.task)
        case "same type":
            return True


def _get_effect_key(level: Level) -> Callable[[EvidenceCell], str]:
    """Return the key by which cells form one effect: the data set for the same task, otherwise the task."""
    return (lambda cell: cell.content) if level == "same task" else (lambda cell: cell.task.id)


def _choose_scales(cells: Sequence[EvidenceCell], n_train: int) -> list[EvidenceCell]:
    """Return one cell per sweep, task and grouping: the scale nearest to a number of training samples.

    Of two scales that are equally near, the larger is chosen.
    """
    best: dict[tuple[str, str, str], EvidenceCell] = {}
    for cell in sorted(cells, key=lambda c: (max(c.n_train, n_train) / min(c.n_train, n_train), -c.n_train)):
        best.setdefault((cell.sweep, cell.task.id, cell.grouping), cell)
    return sorted(best.values(), key=lambda c: (c.sweep, c.task.id, c.grouping))


def _group_cells(cells: Sequence[EvidenceCell], key: Callable[[EvidenceCell], str]) -> list[list[EvidenceCell]]:
    """Return the cells that form each effect."""
    groups: dict[str, list[EvidenceCell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return list(groups.values())


def _average_effects(cells: Sequence[EvidenceCell]) -> Effect:
    """Return the mean effect of cells that share data or task, as if they were fully correlated.

    Several such cells are no more certain than one, so that standard errors and bounds are averaged too.
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
    effects = [_average_effects(cells) for cells in groups]
    margin = min(effect.margin for effect in effects)
    if len(effects) >= MIN_EFFECTS:
        sweeps = [tuple(sorted({cell.sweep for cell in cells})) for cells in groups]
        pooled = pool([e.value for e in effects], [e.se for e in effects], CONFIDENCE, sweeps)
        return Prediction(pooled.mean, pooled.low, pooled.high, margin, pooled.effects, pooled.tau)
    # The same task in one or two data sets: the variation between data sets is unknown, so that the interval for two
    # of them spans both intervals.
    low, high = min(e.low for e in effects), max(e.high for e in effects)
    return Prediction(sum(e.value for e in effects) / len(effects), low, high, margin, len(effects), None)


def _combine_evidence(
    new: NewTask,
    mode: str,
    level: Level,
    groups: Sequence[Sequence[EvidenceCell]],
    left_out: tuple[EvidenceCell, ...],
) -> ModeResult:
    cells = sorted((c for group in groups for c in group), key=lambda c: (c.sweep, c.task.id, c.grouping))
    prediction = _predict(groups)
    verdict = decide_verdict(prediction.low, prediction.high, prediction.margin)
    evidence = _describe_evidence(new, level, cells, len(groups))
    if len(cells) == 1 and cells[0].verdict in ("gain", "no_loss", "loss", "undecided"):
        # The report has corrected this cell's verdict for the number of tasks, which its interval is not.
        verdict = cells[0].verdict  # type: ignore[assignment]
    reason = evidence + (", with its own verdict" if len(cells) == 1 else "")
    if verdict == "undecided" and {"gain", "loss"} <= {cell.verdict for cell in cells}:
        verdict, reason = "not_known", f"the evidence is contradictory: {_describe_contradiction(cells)}"
    elif verdict == "undecided" and prediction.high - prediction.low > 2 * MAX_HALF_WIDTH * prediction.margin:
        verdict, reason = (
            "not_known",
            f"the interval extends more than {MAX_HALF_WIDTH:g} margins to either side; {reason}",
        )
    # The cell with the fewest test subjects excludes the least.
    limits = [cell.rarer_than for cell in cells if cell.rarer_than is not None] if verdict == "no_loss" else []
    rarer_than = min(limits, default=None)
    if rarer_than is not None:
        reason = f"{reason}; {describe_rarer_failures(rarer_than, not get_main_metric(new.task.type).is_per_sample)}"
    return ModeResult(mode, verdict, reason, level, prediction, tuple(cells), left_out, rarer_than)


def _describe_evidence(new: NewTask, level: Level, cells: Sequence[EvidenceCell], effects: int) -> str:
    match level:
        case "same task":
            in_this_data = [cell.content == new.content for cell in cells]
            if all(in_this_data):
                evidence = "the same task in this data set"
            elif any(in_this_data):
                evidence = f"the same task in this data set and {pluralize(effects - 1, 'other data set')}"
            else:
                evidence = f"the same task in {pluralize(effects, 'other data set')}"
        case "same clinical group":
            evidence = f"{pluralize(effects, 'task')} of the same type and clinical group"
        case "same type":
            evidence = f"{pluralize(effects, 'task')} of the same type"
    return f"{evidence} ({pluralize(len(cells), 'result')})"


def _describe_contradiction(cells: Sequence[EvidenceCell]) -> str:
    task_ids = {name: [c.task.id for c in cells if c.verdict == name] for name in ("gain", "loss")}
    return "; ".join(f"{name} for {', '.join(sorted(set(ids))[:3])}" for name, ids in task_ids.items())


def _explain_no_result(
    new: NewTask,
    same_type: Sequence[EvidenceCell],
    near: Sequence[EvidenceCell],
    usable: Sequence[EvidenceCell],
    rule: bool,
) -> str:
    """Return the first reason that applies, in the order of docs/advice.md."""
    if not same_type:
        return f"no {new.task.type} task was trained this way"
    if not near:
        sizes = sorted(cell.n_train for cell in same_type)
        return f"{new.n_train} training samples here, but {_format_range(sizes)} in the sweeps"
    if not usable:
        if all(cell.invalid for cell in near):
            return f"only collapsed or unconverged models ({pluralize(len(near), 'result')})"
        # Sorted, so that the reason does not depend on the order of sweeps.
        reasons = sorted({cell.unusable for cell in near})
        more = f", and {pluralize(len(reasons) - 1, 'other reason')}" if len(reasons) > 1 else ""
        return f"no usable evidence: {reasons[0]}{more}"
    if not rule and not any(is_similar(new.task, cell.task) for cell in usable):
        return "no similar task is in a block of this grouping"
    tasks = pluralize(len({cell.task.id for cell in usable}), "task")
    similarity = "of the same type" if rule else "of the same type and clinical group"
    return f"only {tasks} {similarity} with similar numbers of training samples; {MIN_EFFECTS} are needed"


def _format_range(sizes: Sequence[int]) -> str:
    return f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
