"""Section on the data: tasks with their subsets, the proof that subsets are disjoint, and samples left out."""

from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.data.split.leakage import IN_TWO_FOLDS, KINDS
from usaggr.document.display_names import join_names, pluralize
from usaggr.document.elements import Block, Cell, Items, Paragraph, Section, TextTable, escape_markdown
from usaggr.report import table_cells
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS

_MOST_ERRORS = 10
"""Largest number of skipped rows, and of examples of each kind, that are named."""


def write_data(material: Material) -> Section | None:
    """Write the section on the source of the data, their split, and remarks on them."""
    data = material.collection.data
    origin = (
        f"From {escape_markdown(data.root)}. Every sample is in the same subset (training, validation or test) under "
        "every grouping, scale and seed."
    )
    notes = Items(tuple(f"Note: {escape_markdown(warning)}" for warning in data.warnings)) if data.warnings else None
    return make_section(
        "Data",
        make_paragraph(origin),
        _tabulate_tasks(material),
        *_describe_proof(material),
        *_name_left_out(material),
        notes,
        *_list_remarks(material),
    )


def _tabulate_tasks(material: Material) -> Block | None:
    """Return a table of the tasks with their numbers of samples and test subjects."""
    lines = []
    for task_id in material.collection.tasks:
        facts = material.collection.data.tasks[task_id]
        independent = material.comparison.pseudovalues.count_independent(task_id, facts.n_subjects)
        task, few = facts.task, " (few)" if independent < FEWEST_SUBJECTS else ""
        counts = [table_cells.make_count_cell(n) for n in (task.num_classes, facts.n_train, facts.n_val, facts.n_test)]
        subjects = table_cells.make_number_cell(f"{facts.n_subjects:,}{few}", facts.n_subjects)
        lines.append((Cell(task_id), Cell(task.type), Cell(task.clinical_group), *counts, subjects))
    numbers = ("classes or landmarks", "train", "val", "test", "test subjects")
    caption = (
        f"Samples in each subset. Tasks with fewer than {FEWEST_SUBJECTS} independent test subjects (few) get no "
        "verdict; subjects that share images count as one."
    )
    columns = ("task", "type", "clinical group", *numbers)
    return TextTable(columns, tuple(lines), numbers, name="data", caption=caption) if lines else None


def _describe_proof(material: Material) -> tuple[Block | None, ...]:
    """Count components, images, files and subjects that are in two subsets, and name them."""
    counts, proof = material.collection.fold_counts, material.collection.proof
    kinds = [kind for kind in KINDS if kind in counts]
    totals = join_names([pluralize(counts[kind], kind.removesuffix("s")) for kind in kinds])
    shared = join_names([pluralize(counts[kind + IN_TWO_FOLDS], kind.removesuffix("s")) for kind in kinds])
    # Scripts look for the first sentence, which has the word of split.csv's column.
    conclusion = "Folds are disjoint." if material.collection.disjoint else "Folds are not disjoint."
    text = (
        f"**{conclusion}** Folds are the subsets train, val and test of `split.csv`. Samples that share an image or a "
        "subject form one component, across all tasks of the data, and each component is in one subset. Images are "
        "compared by their bytes and paths, subjects by their names in the index: "
        f"of {totals}, {shared} are in two subsets."
    )
    examples = [
        f"{kind.removesuffix('s')} {escape_markdown(example)}"
        for kind in kinds
        if proof is not None
        for example in proof.shared.get(kind, ())[:_MOST_ERRORS]
    ]
    return Paragraph(text), Items(tuple(examples)) if examples else None


def _name_left_out(material: Material) -> tuple[Block | None, ...]:
    """Name samples that were skipped, and count those dropped because an official split divided their component."""
    data = material.collection.data
    skipped, dropped = data.skipped, data.dropped
    divided = ""
    if dropped:
        belongs, their = ("belongs", "its") if dropped == 1 else ("belong", "their")
        divided = (
            f"{pluralize(dropped, 'sample')} {belongs} to no subset, because the official split divided {their} "
            "component (`data.split.conflict: drop_train`)."
        )
    if not skipped:
        return (make_paragraph("No sample was skipped.", divided),)
    were = "was" if len(skipped) == 1 else "were"
    head = f"{pluralize(len(skipped), 'row')} of the index {were} skipped as invalid (`data.on_bad_sample: skip`):"
    errors = [escape_markdown(error) for error in skipped[:_MOST_ERRORS]]
    if len(skipped) > _MOST_ERRORS:
        errors.append(f"and {len(skipped) - _MOST_ERRORS:,} more, in data.json")
    return make_paragraph(head), Items(tuple(errors)), make_paragraph(divided)


def _list_remarks(material: Material) -> tuple[Block | None, ...]:
    """Return the remarks of finished runs on their tasks, each once."""
    remarks = {
        (task, note)
        for run in material.collection.runs
        if run.result is not None
        for task, notes in run.result.notes.items()
        for note in notes
        if not note.startswith(NOT_EQUAL)  # in the section on exposure
    }
    lines = [
        f"{escape_markdown(task)}: {escape_markdown(note)}"
        for task in material.collection.tasks
        for note in sorted(note for noted, note in remarks if noted == task)
    ]
    return (make_paragraph("Remarks on scores:"), Items(tuple(lines))) if lines else ()
