"""Composes the document of advice.md and advice.html."""

from collections.abc import Sequence

from usaggr.advice.advise import Advice, TaskAdvice
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.meta_analysis import MIN_EFFECTS
from usaggr.advice.rule import MAX_HALF_WIDTH
from usaggr.advice.sentences import (
    KIND_LABELS,
    KIND_MEANINGS,
    count_advice,
    describe_mode,
    describe_recommendation,
    describe_steps,
    explain_advice,
    format_cell_difference,
    format_prediction,
    label_verdict,
    list_partners,
    warn_of_further_looks,
    warn_of_phantoms,
)
from usaggr.advice.undecided import Undecided
from usaggr.document.display_names import QUALIFIED_MARK, QUALIFIED_MEANING, pluralize, verdict_label
from usaggr.document.elements import (
    Block,
    Cell,
    Details,
    Document,
    Items,
    Paragraph,
    Section,
    TextTable,
    escape_markdown,
)
from usaggr.document.numbers import MISSING
from usaggr.statistics.scale_trend import NEAR

SHOWN_UNDECIDED = 30
"""Number of undecided cells on the page; advice.json has all."""
_COLORS = {"share": "gain", "may share": "no_loss", "do not share": "loss", "undecided": "undecided"}


def compose_advice_document(advice: Advice) -> Document:
    """Compose the page: advice per task, its evidence, undecided results worth training, and assumptions."""
    sections = [
        _make_answers(advice),
        _make_amounts(advice),
        _make_evidence(advice),
        _make_undecided(advice),
        _make_assumptions(advice),
    ]
    lead = (
        Paragraph(escape_markdown(count_advice(advice))),
        Paragraph(
            f"Data: {escape_markdown(advice.data.location)}. Evidence: "
            + escape_markdown("; ".join(" + ".join(sweep.folders) for sweep in advice.sweeps))
            + "."
        ),
        *(Paragraph(f"**{escape_markdown(sentence)}**") for sentence in warn_of_phantoms(advice)),
    )
    title = f"Advice for {advice.data.name}: which tasks should share a model"
    return Document(title, lead, tuple(section for section in sections if section is not None))


def _make_answers(advice: Advice) -> Section:
    columns = ("task", "n_train", "advice", "share", "predicted", "evidence")
    answers = tuple(_make_answer_row(task) for task in advice.tasks)
    meanings = Items(tuple(f"**{KIND_LABELS[kind]}**: {KIND_MEANINGS[kind]}" for kind in KIND_LABELS))
    caption = (
        "`n_train` is the task's number of training samples. `predicted` is the effect of sharing compared with a "
        "task-specific model, positive if sharing is better, with its 95 % prediction interval in brackets."
    )
    table = TextTable(columns, answers, ("n_train",), caption=caption)
    return Section("Advice per task", (table, meanings))


def _make_answer_row(task: TaskAdvice) -> tuple[str | Cell, ...]:
    best = task.best
    return (
        task.new.task.id,
        Cell(f"{task.new.n_train:,}", task.new.n_train),
        Cell(KIND_LABELS[task.kind], kind=_COLORS.get(task.kind, "")),
        MISSING if best is None else describe_recommendation(best),
        MISSING if best is None else format_prediction(best.result.prediction, task.new.task.type),
        explain_advice(task),
    )


def _make_amounts(advice: Advice) -> Section | None:
    sentences = [escape_markdown(sentence) for task in advice.tasks for sentence in describe_steps(task)]
    if not sentences:
        return None
    intro = Paragraph("In sweeps with several amounts of training data, these verdicts change with the amount:")
    return Section("Advice that depends on the amount of data", (intro, Items(tuple(sentences))))


def _make_evidence(advice: Advice) -> Section:
    intro = Paragraph(
        "For each task, every way of sharing that was trained, with the results of the sweeps that were used. A result "
        "is one task of a sweep, with one way of sharing and one amount of training data, over all its seeds. `delta` "
        "is the difference from a task-specific model on the sweep's test set, in the metric's own unit, with its 95 % "
        "interval in brackets. `spread` is the standard deviation of the true effects of the pooled tasks. "
        f"{QUALIFIED_MARK}N: {QUALIFIED_MEANING}."
    )
    return Section("Evidence", (intro,), tuple(_make_task_evidence(task) for task in advice.tasks))


def _make_task_evidence(task: TaskAdvice) -> Section:
    modes = TextTable(
        ("sharing", "verdict", "with", "predicted", "margin", "spread", "evidence"),
        tuple(_list_mode_rows(task)),
    )
    blocks: list[Block] = [modes] if task.modes else []
    if task.unshared_modes:
        names = ", ".join(map(describe_mode, task.unshared_modes))
        blocks.append(Paragraph(f"No other task of the data would share its model with: {escape_markdown(names)}."))
    cells = [(mode.result.mode, cell) for mode in task.modes for cell in mode.result.cells]
    if cells:
        blocks.append(Details(f"{pluralize(len(cells), 'result')} used", (_make_cells_table([c for _, c in cells]),)))
    left_out = [cell for mode in task.modes for cell in mode.result.left_out]
    if left_out:
        title = f"{pluralize(len(left_out), 'result')} not used"
        blocks.append(Details(title, (_make_cells_table(left_out, show_reason=True),)))
    return Section(task.new.task.id, tuple(blocks))


def _list_mode_rows(task: TaskAdvice) -> list[tuple[str | Cell, ...]]:
    table: list[tuple[str | Cell, ...]] = []
    for mode in task.modes:
        prediction, task_type = mode.result.prediction, task.new.task.type
        color = "" if mode.result.verdict == "not_known" else mode.result.verdict
        table.append((
            describe_mode(mode.result.mode),
            Cell(label_verdict(mode.result.verdict), kind=color),
            list_partners(mode),
            format_prediction(prediction, task_type),
            MISSING if prediction is None else f"{prediction.margin:g}",
            MISSING if prediction is None or prediction.tau is None else f"{prediction.tau:.3f}",
            mode.result.reason,
        ))  # fmt: skip
    return table


def _make_cells_table(cells: Sequence[EvidenceCell], show_reason: bool = False) -> TextTable:
    columns = ("sweep", "task", "sharing", "shares with", "n_train", "seeds", "metric", "delta", "verdict")
    table: list[tuple[str | Cell, ...]] = []
    for cell in cells:
        partners = [task.id for task in cell.shares_with]
        row: tuple[str | Cell, ...] = (
            cell.sweep,
            cell.task.id,
            describe_mode(cell.mode),
            ", ".join(partners) if len(partners) < 4 else pluralize(len(partners), "task"),
            Cell(f"{cell.n_train:,}", cell.n_train),
            str(cell.seeds),
            cell.metric,
            format_cell_difference(cell),
            Cell(_label_cell_verdict(cell), kind=cell.verdict),
        )
        table.append((*row, cell.unusable) if show_reason else row)
    return TextTable((*columns, "reason") if show_reason else columns, tuple(table), ("n_train", "seeds"))


def _label_cell_verdict(cell: EvidenceCell) -> str:
    """Return the verdict of a result, with the rate of failures that a no loss does not exclude."""
    is_qualified = cell.verdict == "no_loss" and cell.rarer_than is not None
    return verdict_label(cell.verdict) + (f" {QUALIFIED_MARK}{cell.rarer_than}" if is_qualified else "")


def _make_undecided(advice: Advice) -> Section | None:
    if not advice.undecided:
        return None
    shown = advice.undecided[:SHOWN_UNDECIDED]
    table = TextTable(
        ("seeds", "needed", "sweep", "task", "sharing", "n_train", "delta", "concerns"),
        tuple(_make_undecided_row(undecided) for undecided in shown),
        ("seeds", "needed", "n_train"),
        left_out=len(advice.undecided) - len(shown),
        caption="Undecided results of the sweeps that concern these tasks. `needed` is the number of seeds with "
        "which a true difference of 0, or of the margin's size, is likely to be decided. If it is empty, more seeds "
        "cannot decide: more test subjects are needed. It is also empty for a result from one seed, which needs a "
        "second seed first.",
    )
    command_lines = dict.fromkeys(undecided.command for undecided in advice.undecided if undecided.command)
    # A name with a backtick would end the code and let the rest of the line be read as Markdown.
    commands = Items(tuple(f"`{line.replace('`', '?')}`" for line in command_lines))
    blocks: tuple[Block, ...] = (table,)
    if command_lines:
        blocks += (Paragraph("These commands add the needed seeds; finished runs are not trained again:"), commands)
        blocks += (Paragraph(escape_markdown(warn_of_further_looks(advice))),)
    return Section("What to train to know more", blocks)


def _make_undecided_row(undecided: Undecided) -> tuple[str | Cell, ...]:
    cell = undecided.cell
    needed = cell.seeds_needed
    return (
        str(cell.seeds),
        MISSING if needed is None else Cell(str(needed), needed),
        cell.sweep,
        cell.task.id,
        describe_mode(cell.mode),
        Cell(f"{cell.n_train:,}", cell.n_train),
        format_cell_difference(cell),
        ", ".join(undecided.task_ids) if len(undecided.task_ids) < 5 else pluralize(len(undecided.task_ids), "task"),
    )


def _make_assumptions(advice: Advice) -> Section:
    same_data = [sweep.name for sweep in advice.sweeps if advice.data.content and sweep.content == advice.data.content]
    items = [
        f"Numbers of training samples are similar if they differ by at most a factor of {NEAR:g}. A prediction from "
        f"other tasks needs at least {MIN_EFFECTS} of them. If an undecided interval extends more than "
        f"{MAX_HALF_WIDTH:g} margins to either side, the answer is not known.",
        "The new task is a draw from the same population as the tasks of the sweeps. It is trained in the same way: "
        "with the same network, budget and image size. Intervals are not adjusted for the number of tasks.",
        "A task with the same name in other data is treated as the same task.",
        *(f"{escape_markdown(name)} was trained on the same data." for name in same_data),
        *(escape_markdown(remark) for remark in advice.data.remarks),
    ]
    return Section("Assumptions", (Items(tuple(items)),))
