"""Advice as a document: what advice.md and advice.html show."""

from collections.abc import Sequence

from usaggr.advice.advise import Advice, TaskAdvice
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.meta_analysis import FEWEST
from usaggr.advice.rule import WIDE
from usaggr.advice.sentences import (
    KIND_LABELS,
    KIND_MEANINGS,
    advised,
    cell_difference,
    counted,
    partner_names,
    phantom_sentences,
    predicted,
    reason,
    steps_sentences,
    way_verdict,
)
from usaggr.advice.undecided import Undecided
from usaggr.document.display_names import grouping_label, plural, verdict_label
from usaggr.document.elements import Block, Cell, Details, Document, Items, Paragraph, Section, TextTable, literal
from usaggr.document.numbers import MISSING
from usaggr.statistics.scale_trend import NEAR

SHOWN_UNDECIDED = 30
"""Undecided cells that a page lists; advice.json has all."""
_COLOURS = {"share": "gain", "may share": "no_loss", "do not share": "loss", "undecided": "undecided"}


def advice_document(advice: Advice) -> Document:
    """The whole of it: the answers, their evidence, what could be trained to know more, and what is assumed."""
    sections = [_answers(advice), _amounts(advice), _evidence(advice), _undecided(advice), _assumed(advice)]
    lead = (
        Paragraph(literal(counted(advice))),
        Paragraph(
            f"Data: {literal(advice.data.where)}. Evidence: "
            + literal("; ".join(" + ".join(sweep.folders) for sweep in advice.sweeps))
            + "."
        ),
        *(Paragraph(f"**{literal(sentence)}**") for sentence in phantom_sentences(advice)),
    )
    title = f"Advice for {advice.data.name}: which tasks should share a model"
    return Document(title, lead, tuple(section for section in sections if section is not None))


def _answers(advice: Advice) -> Section:
    columns = ("task", "n_train", "advice", "with", "predicted", "because")
    rows = tuple(_answer_row(task) for task in advice.tasks)
    meanings = Items(tuple(f"**{KIND_LABELS[kind]}**: {KIND_MEANINGS[kind]}" for kind in KIND_LABELS))
    caption = (
        "The advice for each task. `predicted` is positive where sharing is better than a model of its own; in "
        "brackets a 95 % prediction interval."
    )
    table = TextTable(columns, rows, ("n_train",), caption=caption)
    return Section("What to do", (table, meanings))


def _answer_row(task: TaskAdvice) -> tuple[str | Cell, ...]:
    best = task.best
    return (
        task.new.task.id,
        Cell(f"{task.new.n_train:,}", task.new.n_train),
        Cell(KIND_LABELS[task.kind], kind=_COLOURS.get(task.kind, "")),
        MISSING if best is None else advised(best),
        MISSING if best is None else predicted(best.answer.prediction, task.new.task.type),
        reason(task),
    )


def _amounts(advice: Advice) -> Section | None:
    said = [literal(sentence) for task in advice.tasks for sentence in steps_sentences(task)]
    if not said:
        return None
    intro = Paragraph("Where the sweeps have several scales and their verdicts change between them:")
    return Section("Depends on the amount of data", (intro, Items(tuple(said))))


def _evidence(advice: Advice) -> Section:
    intro = Paragraph(
        "For each task every way of sharing that was trained, and the cells that count. `delta` is the difference from "
        "a task-specific model on the sweep's test fold, with its 95 % interval, in the metric's own unit."
    )
    return Section("What it rests on", (intro,), tuple(_evidence_of(task) for task in advice.tasks))


def _evidence_of(task: TaskAdvice) -> Section:
    ways = TextTable(
        ("grouping", "verdict", "with", "predicted", "margin", "spread", "because"),
        tuple(_way_rows(task)),
    )
    blocks: list[Block] = [ways] if task.ways else []
    if task.alone:
        names = ", ".join(map(grouping_label, task.alone))
        blocks.append(Paragraph(f"Under {literal(names)} no other task of the data would share its model."))
    cells = [(way.answer.way, cell) for way in task.ways for cell in way.answer.cells]
    if cells:
        blocks.append(Details(f"{plural(len(cells), 'cell')} that count", (_cells_table([c for _, c in cells]),)))
    left = [cell for way in task.ways for cell in way.answer.left_out]
    if left:
        blocks.append(Details(f"{plural(len(left), 'cell')} left out", (_cells_table(left, left_out=True),)))
    return Section(task.new.task.id, tuple(blocks))


def _way_rows(task: TaskAdvice) -> list[tuple[str | Cell, ...]]:
    rows: list[tuple[str | Cell, ...]] = []
    for way in task.ways:
        found, kind = way.answer.prediction, task.new.task.type
        colour = "" if way.answer.verdict == "not_known" else way.answer.verdict
        rows.append((
            grouping_label(way.answer.way),
            Cell(way_verdict(way.answer.verdict), kind=colour),
            partner_names(way),
            predicted(found, kind),
            MISSING if found is None else f"{found.margin:g}",
            MISSING if found is None or found.tau is None else f"{found.tau:.3f}",
            way.answer.why,
        ))  # fmt: skip
    return rows


def _cells_table(cells: Sequence[EvidenceCell], left_out: bool = False) -> TextTable:
    columns = ("sweep", "task", "grouping", "shares with", "n_train", "seeds", "metric", "delta", "verdict")
    rows: list[tuple[str | Cell, ...]] = []
    for cell in cells:
        others = [task.id for task in cell.shares_with]
        row: tuple[str | Cell, ...] = (
            cell.sweep,
            cell.task.id,
            grouping_label(cell.grouping),
            ", ".join(others) if len(others) < 4 else f"{plural(len(others), 'task')}",
            Cell(f"{cell.n_train:,}", cell.n_train),
            str(cell.seeds),
            cell.metric,
            cell_difference(cell),
            Cell(verdict_label(cell.verdict), kind=cell.verdict),
        )
        rows.append((*row, cell.unusable) if left_out else row)
    return TextTable((*columns, "left out") if left_out else columns, tuple(rows), ("n_train", "seeds"))


def _undecided(advice: Advice) -> Section | None:
    if not advice.undecided:
        return None
    shown = advice.undecided[:SHOWN_UNDECIDED]
    table = TextTable(
        ("seeds", "needed", "sweep", "task", "grouping", "n_train", "delta", "bears on"),
        tuple(_undecided_row(one) for one in shown),
        ("seeds", "needed", "n_train"),
        left_out=len(advice.undecided) - len(shown),
        caption="Cells that the sweeps left undecided and that speak of these tasks. `needed`: seeds at which such a "
        "difference would be decided, if it and its variance stay what they are; without a number, no number of seeds "
        "does: more test subjects are needed.",
    )
    lines = dict.fromkeys(one.command for one in advice.undecided if one.command)
    commands = Items(tuple(f"`{line.replace('`', '?')}`" for line in lines))
    blocks: tuple[Block, ...] = (table,)
    if lines:
        blocks += (Paragraph("Each line adds the seeds of the rows down to it, and trains nothing twice:"), commands)
    return Section("What could be trained to know more", blocks)


def _undecided_row(one: Undecided) -> tuple[str | Cell, ...]:
    cell = one.cell
    needed = cell.seeds_needed
    return (
        str(cell.seeds),
        MISSING if needed is None else Cell(str(needed), needed),
        cell.sweep,
        cell.task.id,
        grouping_label(cell.grouping),
        Cell(f"{cell.n_train:,}", cell.n_train),
        cell_difference(cell),
        ", ".join(one.bears_on) if len(one.bears_on) < 5 else plural(len(one.bears_on), "task"),
    )


def _assumed(advice: Advice) -> Section:
    same = [sweep.name for sweep in advice.sweeps if advice.data.content and sweep.content == advice.data.content]
    items = [
        f"Numbers of training samples are alike within a factor of {NEAR:g}; a prediction from other tasks needs "
        f"{FEWEST} of them; an interval of more than {WIDE:g} margins on either side tells nothing.",
        "The new task is a draw from the same population as the tasks of the sweeps, and is trained as they were: the "
        "same network, budget and image size. Intervals are not adjusted for the number of tasks.",
        "The same task in other data is taken to be alike in these data, as far as its name tells.",
        *(f"{literal(name)} was trained on these very data." for name in same),
        *(literal(remark) for remark in advice.data.remarks),
    ]
    return Section("What is assumed", (Items(tuple(items)),))
