"""Labels, phrases and numbers of advice as text, for the terminal and the page."""

from usaggr.advice.advise import KINDS, Advice, Kind, ModeAdvice, TaskAdvice
from usaggr.advice.evidence import EvidenceCell, get_margin_unit
from usaggr.advice.rule import Prediction, Verdict
from usaggr.advice.scale_steps import Step
from usaggr.document.display_names import describe_rarer_failures, join_names, pluralize, verdict_label
from usaggr.document.numbers import MISSING, format_percent
from usaggr.metrics.names import get_main_metric, get_metric_label
from usaggr.metrics.score_texts import format_difference
from usaggr.tasks import TaskType

KIND_LABELS: dict[Kind, str] = {
    "share": "▲ share",
    "may share": "= may share",
    "do not share": "▼ do not share",
    "undecided": "? undecided",
    "not known": "– not known",
}
"""Labels with the marks of the corresponding verdicts."""
KIND_MEANINGS: dict[Kind, str] = {
    "share": "at least one way of sharing is predicted to gain",
    "may share": "at least one way of sharing is predicted to lose less than the margin: a shared model is good "
    "enough, and reduces the number of models",
    "do not share": "every way of sharing that was trained is predicted to lose",
    "undecided": "the prediction interval includes 0 and extends below the margin",
    "not known": "not enough evidence; the reason is given",
}
SHOWN_PARTNERS = 4
"""Most names of tasks in a list of partners."""
_MODE_PHRASES = {
    "unified": "one model for all tasks",
    "clinical": "one model per clinical group",
    "task_type": "one model per task type",
    "organ": "one model per organ",
    "image_source": "one model per image source",
}


def describe_mode(mode: str) -> str:
    """Return a sharing mode as a phrase; groupings without a rule keep their own name."""
    return _MODE_PHRASES.get(mode, f"grouping {mode}")


def label_verdict(verdict: Verdict) -> str:
    """Return a verdict with its mark; `not_known` has the mark of no verdict."""
    return "– not known" if verdict == "not_known" else verdict_label(verdict)


def format_prediction(prediction: Prediction | None, task_type: TaskType) -> str:
    """Return the predicted difference with its prediction interval, in the unit of the margin."""
    if prediction is None:
        return MISSING
    metric = get_main_metric(task_type).name
    numbers = (prediction.mean, prediction.low, prediction.high)
    if get_margin_unit(metric) == "relative":
        return f"{get_metric_label(metric)} {format_percent(*numbers)}"
    return f"{get_metric_label(metric)} {format_difference(*numbers, metric)}"


def format_cell_difference(cell: EvidenceCell) -> str:
    """Return the difference of a cell with its interval, as in the report."""
    return format_difference(cell.delta, cell.delta_low, cell.delta_high, cell.metric)


def list_partners(mode: ModeAdvice, shown: int = SHOWN_PARTNERS) -> str:
    """Return the tasks that would share the model, at most `shown` of them by name."""
    names = mode.shares_with
    if len(names) <= shown:
        return ", ".join(names) or MISSING
    # `shown - 1` names, so that at least two are left out: "and 1 more" is as long as the name itself.
    return f"{', '.join(names[: shown - 1])} and {len(names) - shown + 1} more"


def describe_recommendation(mode: ModeAdvice) -> str:
    """Return the recommended sharing mode, with the tasks that would share the model."""
    return f"{describe_mode(mode.result.mode)}, with {list_partners(mode)}"


def explain_advice(task: TaskAdvice) -> str:
    """Return the evidence for the recommended mode; without one, the verdict and reason of each sharing mode."""
    if task.best is not None:
        return task.best.result.reason
    if not task.modes:
        return (
            "no other task of the data would share its model"
            if task.unshared_modes
            else "no way of sharing was trained"
        )
    modes_by_reason: dict[str, list[str]] = {}
    for mode in task.modes:
        verdict = "" if mode.result.verdict == "not_known" else f"{mode.result.verdict.replace('_', ' ')}, "
        modes_by_reason.setdefault(f"{verdict}{mode.result.reason}", []).append(describe_mode(mode.result.mode))
    return "; ".join(f"{', '.join(modes)}: {reason}" for reason, modes in modes_by_reason.items())


def count_advice(advice: Advice) -> str:
    """Return a sentence with the number of tasks for each advice."""
    counts = {kind: sum(task.kind == kind for task in advice.tasks) for kind in KINDS}
    phrases = [f"{kind} ({number})" for kind, number in counts.items() if number]
    return f"Advice for {pluralize(len(advice.tasks), 'task')}: {join_names(phrases)}."


def warn_of_phantoms(advice: Advice) -> list[str]:
    """Return a warning for each sweep that was trained on phantoms, unless the advice is for phantoms."""
    if advice.data.phantoms:
        return []
    return [
        f"{sweep.name} was trained on synthetic phantoms; its results may not apply to images of patients."
        for sweep in advice.sweeps
        if sweep.phantoms
    ]


def describe_steps(task: TaskAdvice) -> list[str]:
    """Return one sentence for each sharing mode whose verdict changes with the number of training samples."""
    sentences = []
    for mode in task.modes:
        if mode.steps:
            steps = [_describe_step(step, task.new.task.type) for step in mode.steps]
            name = describe_mode(mode.result.mode)
            sentences.append(f"{task.new.task.id} ({task.new.n_train:,} here), {name}: {', '.join(steps)}")
    return sentences


def _describe_step(step: Step, task_type: TaskType) -> str:
    qualified = ""
    if step.rarer_than is not None:
        in_rarer_class = not get_main_metric(task_type).is_per_sample
        qualified = f" ({describe_rarer_failures(step.rarer_than, in_rarer_class)})"
    return f"{step.verdict.replace('_', ' ')}{qualified} from about {step.n_train:,} training samples"


def warn_of_further_looks(advice: Advice) -> str:
    """Write that a verdict after more seeds is a further look, and at how many seeds reports already gave verdicts."""
    folders = dict.fromkeys(undecided.cell.sweep for undecided in advice.undecided if undecided.command)
    numbers = {sweep.name: sweep.reported_seeds for sweep in advice.sweeps if sweep.name in folders}
    looks = [
        f"Reports of {name} gave verdicts with {join_names([str(number) for number in seeds])} "
        f"seed{'' if seeds == (1,) else 's'}."
        for name, seeds in numbers.items()
        if seeds
    ]
    damaged = [
        f"The record of earlier reports of {sweep.name} was damaged: reports with other numbers of seeds may be "
        "missing above. Remove its files `reported_seeds.damaged*.csv` to end this warning."
        for sweep in advice.sweeps
        if sweep.name in folders and sweep.is_record_damaged
    ]
    return " ".join((
        "A report with more seeds, because a result was undecided, is a further look at the same tests. p values are "
        "not adjusted for it, so that false verdicts become more frequent than stated.",
        *looks,
        *damaged,
        "To avoid this, decide on the number of seeds once, before they are trained.",
    ))  # fmt: skip
