"""The data: tasks with their folds, the proof that folds are disjoint, what was skipped, remarks of runs."""

from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.data.split.leakage import IN_TWO_FOLDS, KINDS
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document.display_names import listed, plural
from usaggr.document.elements import Block, Cell, Items, Paragraph, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section

_MOST_FAULTS = 10


def write_data(material: Material) -> Section | None:
    """Where data are from, how they are split, and what is to be known of them."""
    data = material.collection.data
    origin = f"From {literal(data.root)}. Every sample is in the same fold under every grouping, scale and seed."
    notes = Items(tuple(f"Note: {literal(warning)}" for warning in data.warnings)) if data.warnings else None
    return section(
        "Data", paragraph(origin), _tasks(material), *_proof(material), *_left_out(material), notes, *_remarks(material)
    )


def _tasks(material: Material) -> Block | None:
    rows = []
    for task_id in material.collection.tasks:
        facts = material.collection.data.tasks[task_id]
        task, few = facts.task, " (few)" if facts.n_subjects < MIN_TEST_SUBJECTS else ""
        counts = [table_cells.count(n) for n in (task.num_classes, facts.n_train, facts.n_val, facts.n_test)]
        subjects = table_cells.number(f"{facts.n_subjects:,}{few}", facts.n_subjects)
        rows.append((Cell(task_id), Cell(task.type), Cell(task.clinical_group), *counts, subjects))
    numbers = ("classes or points", "train", "val", "test", "test subjects")
    caption = f"Samples in each fold. Tasks with under {MIN_TEST_SUBJECTS} test subjects (few) get no verdict."
    columns = ("task", "type", "clinical group", *numbers)
    return TextTable(columns, tuple(rows), numbers, name="data", caption=caption) if rows else None


def _proof(material: Material) -> tuple[Block | None, ...]:
    """The numbers of components, images, files and subjects in two folds, and which they are."""
    counts, proof = material.collection.fold_counts, material.collection.proof
    kinds = [kind for kind in KINDS if kind in counts]
    totals = listed([plural(counts[kind], kind.removesuffix("s")) for kind in kinds])
    shared = listed([plural(counts[kind + IN_TWO_FOLDS], kind.removesuffix("s")) for kind in kinds])
    head = "Folds are disjoint." if material.collection.disjoint else "Folds are not disjoint."
    text = (
        f"**{head}** Samples that share an image or a subject are tied together as a component, across all tasks of "
        "the data, and a component is in one fold. Counted from the images' bytes and paths, and the subjects as the "
        f"index writes them: of {totals}, {shared} are in two folds."
    )
    examples = [
        f"{kind.removesuffix('s')} {literal(example)}"
        for kind in kinds
        if proof is not None
        for example in proof.shared.get(kind, ())[:_MOST_FAULTS]
    ]
    return Paragraph(text), Items(tuple(examples)) if examples else None


def _left_out(material: Material) -> tuple[Block | None, ...]:
    """Samples that were skipped, or dropped because an official split cut their component."""
    data = material.collection.data
    skipped, dropped = data.skipped, data.dropped
    cut = ""
    if dropped:
        belongs, their = ("belongs", "its") if dropped == 1 else ("belong", "their")
        cut = (
            f"{plural(dropped, 'sample')} {belongs} to no fold, because the official split cut {their} component "
            "(`data.split.conflict: drop_train`)."
        )
    if not skipped:
        return (paragraph("No sample was skipped.", cut),)
    were = "was" if len(skipped) == 1 else "were"
    head = f"{plural(len(skipped), 'row')} of the index {were} skipped as faulty (`data.on_bad_sample: skip`):"
    faults = [literal(fault) for fault in skipped[:_MOST_FAULTS]]
    if len(skipped) > _MOST_FAULTS:
        faults.append(f"and {len(skipped) - _MOST_FAULTS:,} more, in data.json")
    return paragraph(head), Items(tuple(faults)), paragraph(cut)


def _remarks(material: Material) -> tuple[Block | None, ...]:
    """What finished runs say about their tasks, each once."""
    found = {
        (task, note)
        for run in material.collection.runs
        if run.result is not None
        for task, notes in run.result.notes.items()
        for note in notes
        if not note.startswith(NOT_EQUAL)  # a chapter of its own
    }
    said = [
        f"{literal(task)}: {literal(note)}"
        for task in material.collection.tasks
        for note in sorted(note for of, note in found if of == task)
    ]
    return (paragraph("Remarks on scores:"), Items(tuple(said))) if said else ()
