"""Section on variants with unequal exposure of tasks, and sentences on the balancing of tasks."""

from usaggr.analysis.compare_study import Scale
from usaggr.analysis.exposure import find_unequal_variants, is_unequal, read_variant_setting
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names, scale_label
from usaggr.document.elements import Block, Cell, Details, Section, TextTable, escape_markdown
from usaggr.report import table_cells
from usaggr.report.material import Material, make_paragraph, make_section

_RULES = {
    "proportional": "in proportion to their training samples",
    "sqrt": "in proportion to the square root of their training samples",
    "uniform": "evenly",
}
"""Distribution of examples over the tasks of a model, for each value of training.sampling."""
_BALANCING = {
    "uncertainty": "learned weights based on homoscedastic uncertainty (Kendall, Gal and Cipolla 2018)",
    "pcgrad": "projection of conflicting gradients of the shared layers (PCGrad, Yu et al. 2020)",
    "upgrad": "projection of the gradients of the shared layers onto their dual cone (UPGrad, Quinton and Rey 2024)",
    "mgda": "the shortest convex combination of the gradients of the shared layers (MGDA, Désidéri 2012; Sener and "
    "Koltun 2018)",
    "imtl_g": "a combination of the gradients of the shared layers with equal projections on each (IMTL-G, Liu et al. "
    "2021)",
}
"""Method in a sentence, for each value of training.balancing."""


def warn_of_unequal_exposure(material: Material, variant: str) -> str:
    """Return a warning for results under a variant; empty if tasks are equally exposed."""
    if variant not in find_unequal_variants(material.collection):
        return ""
    rule = read_variant_setting(material.study, variant, "training.sampling")
    return (
        f"**Tasks are not equally exposed here** (`training.sampling: {rule}`): differences from "
        f"{escape_markdown(material.reference)} combine the effects of sharing and of exposure."
    )


def describe_exceptions(material: Material) -> str:
    """Return the exceptions from `under every grouping`: variants whose tasks are not equally exposed."""
    variants = find_unequal_variants(material.collection)
    return f" (except in {join_names([escape_markdown(name) for name in variants])})" if variants else ""


def describe_balancing(material: Material) -> str:
    """Return the sentences of the methods on weights of the tasks' losses and on the distribution of examples."""
    sentences = []
    for variant in material.study.variants:
        method = _BALANCING.get(read_variant_setting(material.study, variant, "training.balancing"))
        if method:
            # The sentence begins with "In VARIANT, tasks ..." or with "Tasks ...".
            where = f"In {escape_markdown(variant)}, t" if len(material.study.variants) > 1 else "T"
            sentences.append(
                f"{where}asks that share a model are balanced by {method}; this does not affect other models."
            )
    for variant in material.study.variants:
        rule = _RULES.get(read_variant_setting(material.study, variant, "training.sampling"))
        if rule:
            where = f"In {escape_markdown(variant)}, t" if len(material.study.variants) > 1 else "T"
            sentences.append(
                f"{where}he training examples of a model are distributed over its tasks {rule}, so that a task is not "
                "equally exposed under all groupings."
            )
    return " ".join(sentences)


def write_exposure(material: Material) -> Section | None:
    """Write the section on variants with unequal exposure; None if every variant exposes tasks equally."""
    variants = find_unequal_variants(material.collection)
    if not variants:
        return None
    names = join_names([escape_markdown(name) for name in variants])
    intro = make_paragraph(
        f"Under {names}, tasks are **not equally exposed** because of `training.sampling`. A model is trained on as "
        "many examples as under equal exposure, but they are distributed differently over its tasks. Each task's "
        "sequence of examples is the same, only longer or shorter.",
        "Such a variant is compared with the study's first variant under the same grouping. Its differences between "
        "groupings combine the effects of sharing and of exposure.",
    )
    tables = [
        _tabulate_examples(material, variant, scale)
        for variant, scale in material.comparison.scales_by_variant
        if variant in variants
    ]
    return make_section("Exposure", intro, *tables)


def _tabulate_examples(material: Material, variant: str, scale: Scale) -> Block | None:
    """Return a table of training examples, with a row per task and a column per grouping.

    Numbers are means over seeds, which differ if the training samples of seeds differ.
    """
    columns = {
        grouping: {
            task: [
                run
                for run in material.comparison.list_runs(variant, scale, grouping)
                if run.result is not None and task in run.row.tasks
            ]
            for task in material.collection.tasks
        }
        for grouping in material.comparison.groupings
    }
    # Groupings without a finished run get no column.
    columns = {name: by_task for name, by_task in columns.items() if any(by_task.values())}
    lines = []
    for task in material.collection.tasks:
        cells = []
        for by_task in columns.values():
            results = [run.result for run in by_task[task] if run.result is not None]
            mean = sum(result.examples[task] for result in results) / len(results) if results else None
            changed = " *" if any(is_unequal(run, task) for run in by_task[task]) else ""
            cells.append(table_cells.make_number_cell(text.format_count(mean) + changed, mean))
        runs = [run for by_task in columns.values() for run in by_task[task]]
        n_train = [run.result.n_train[task] for run in runs if run.result is not None]
        lines.append((Cell(task), table_cells.make_count_cell(max(n_train, default=None)), *cells))
    if not columns:
        return None
    labels = tuple(grouping_label(name) for name in columns)
    where = f"{escape_markdown(variant)}, {escape_markdown(scale_label(scale))}"
    caption = f"Training examples of each task under {where}; * marks numbers that differ from the budget."
    table = TextTable(
        ("task", "train", *labels), tuple(lines), ("train", *labels), name=f"examples-{variant}-s{scale:g}",
        caption=caption,
    )  # fmt: skip
    return Details(f"Examples per task: {where}", (table,))
