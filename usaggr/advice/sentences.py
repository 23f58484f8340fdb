"""What advice is called, and its numbers as text: for the terminal, the page and the tables alike."""

from usaggr.advice.advise import KINDS, Advice, Kind, TaskAdvice, WayAdvice
from usaggr.advice.evidence import EvidenceCell, unit_of
from usaggr.advice.rule import Prediction, Verdict
from usaggr.document.display_names import grouping_label, listed, plural, verdict_label
from usaggr.document.numbers import MISSING, difference, percent
from usaggr.metrics.names import main_metric, metric_label
from usaggr.tasks import TaskType

KIND_LABELS: dict[Kind, str] = {
    "share": "▲ share",
    "may share": "= may share",
    "do not share": "▼ do not share",
    "undecided": "? undecided",
    "not known": "– not known",
}
"""With the marks of the verdicts that they rest on."""
KIND_MEANINGS: dict[Kind, str] = {
    "share": "a way of sharing is predicted to gain",
    "may share": "a shared model is predicted to cost less than the margin, and saves models",
    "do not share": "every way of sharing that was trained is predicted to lose",
    "undecided": "the prediction lies around no difference, and reaches below the margin",
    "not known": "the sweeps have too little to say, and why is told",
}
SHOWN_PARTNERS = 4


def way_verdict(verdict: Verdict) -> str:
    """A verdict with its mark; what is not known has that of no verdict."""
    return "– not known" if verdict == "not_known" else verdict_label(verdict)


def predicted(prediction: Prediction | None, task_type: TaskType) -> str:
    """The predicted difference with its prediction interval, in the unit of the margin."""
    if prediction is None:
        return MISSING
    metric = main_metric(task_type).name
    numbers = (prediction.mean, prediction.low, prediction.high)
    if unit_of(metric) == "relative":
        return f"{metric_label(metric)} {percent(*numbers)}"
    return f"{metric_label(metric)} {difference(*numbers, metric)}"


def cell_difference(cell: EvidenceCell) -> str:
    """The difference of a cell with its interval, as in the report."""
    return difference(cell.delta, cell.delta_low, cell.delta_high, cell.metric)


def partner_names(way: WayAdvice, shown: int = SHOWN_PARTNERS) -> str:
    """The tasks that would share the model."""
    names = way.shares_with
    if len(names) <= shown:
        return ", ".join(names) or MISSING
    return f"{', '.join(names[: shown - 1])} and {len(names) - shown + 1} more"


def advised(way: WayAdvice) -> str:
    """The way that is advised, with the tasks that would share the model."""
    return f"{grouping_label(way.answer.way)}: {partner_names(way)}"


def reason(task: TaskAdvice) -> str:
    """What the advice rests on, in a phrase; where nothing is advised, what each way says."""
    if task.best is not None:
        return task.best.answer.why
    if not task.ways:
        return "no other task of the data would share its model" if task.alone else "no way of sharing was trained"
    said: dict[str, list[str]] = {}
    for way in task.ways:
        verdict = "" if way.answer.verdict == "not_known" else f"{way.answer.verdict.replace('_', ' ')}: "
        said.setdefault(f"{verdict}{way.answer.why}", []).append(grouping_label(way.answer.way))
    return "; ".join(f"{', '.join(ways)}: {why}" for why, ways in said.items())


def counted(advice: Advice) -> str:
    """How many tasks have which advice, in a sentence."""
    counts = {kind: sum(task.kind == kind for task in advice.tasks) for kind in KINDS}
    parts = [f"{number} {kind}" for kind, number in counts.items() if number]
    return f"{plural(len(advice.tasks), 'task')}: {listed(parts)}."


def phantom_sentences(advice: Advice) -> list[str]:
    """Which sweeps were trained on phantoms, unless advice is for phantoms."""
    if advice.data.phantoms:
        return []
    return [
        f"{sweep.name} was trained on phantoms: what they show need not hold for images of patients."
        for sweep in advice.sweeps
        if sweep.phantoms
    ]


def steps_sentences(task: TaskAdvice) -> list[str]:
    """How the verdict changes with the number of training samples, a sentence a way that shows it."""
    sentences = []
    for way in task.ways:
        if way.steps:
            parts = [f"{step.verdict.replace('_', ' ')} from about {step.n_train:,} training samples on" for step in
                     way.steps]  # fmt: skip
            label = grouping_label(way.answer.way)
            sentences.append(f"{task.new.task.id} ({task.new.n_train:,} here), {label}: {', '.join(parts)}")
    return sentences
