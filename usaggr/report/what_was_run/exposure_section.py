"""What is to be known of variants that are not trained as usual: unequal exposure, and ways of balancing tasks."""

from usaggr.analysis.compare_study import Scale
from usaggr.analysis.exposure import is_unequal, setting_of, unequal_variants
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed, scale_label
from usaggr.document.elements import Block, Cell, Details, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section

_RULES = {
    "proportional": "in proportion to their training samples",
    "sqrt": "in proportion to the square root of their training samples",
    "uniform": "evenly",
}
"""By training.sampling."""
_BALANCING = {
    "uncertainty": "weights that are learnt from homoscedastic uncertainty (Kendall, Gal and Cipolla 2018)",
    "pcgrad": "projections of conflicting gradients of the shared part (PCGrad, Yu et al. 2020)",
    "upgrad": "projections of the gradients of the shared part onto their dual cone (UPGrad, Quinton and Rey 2024)",
    "mgda": "the shortest convex combination of the gradients of the shared part (MGDA, Désidéri 2012; Sener and "
    "Koltun 2018)",
    "imtl_g": "a combination of the gradients of the shared part that projects alike on each (IMTL-G, Liu et al. 2021)",
}
"""By training.balancing."""


def say_unequal(material: Material, variant: str) -> str:
    """A warning before what is said of groupings under a variant; empty where tasks are equally exposed."""
    if variant not in unequal_variants(material.collection):
        return ""
    rule = setting_of(material.study, variant, "training.sampling")
    return (
        f"**Tasks are not equally exposed here** (`training.sampling: {rule}`): differences from "
        f"{literal(material.reference)} are those of sharing and of exposure together."
    )


def but_in(material: Material) -> str:
    """Put behind `under every grouping`: the variants where tasks are not equally exposed, if there are any."""
    variants = unequal_variants(material.collection)
    return f" (but in {listed([literal(name) for name in variants])})" if variants else ""


def say_balancing(material: Material) -> str:
    """Part of the methods: how training losses of tasks that share a model are weighed, and examples are dealt out."""
    said = []
    for variant in material.study.variants:
        found = _BALANCING.get(setting_of(material.study, variant, "training.balancing"))
        if found:
            where = f"In {literal(variant)}, t" if len(material.study.variants) > 1 else "T"
            said.append(f"{where}asks that share a model are balanced by {found}; a task alone is trained as ever.")
    for variant in material.study.variants:
        rule = _RULES.get(setting_of(material.study, variant, "training.sampling"))
        if rule:
            where = f"In {literal(variant)}, w" if len(material.study.variants) > 1 else "W"
            said.append(
                f"{where}hat the tasks of a model would be shown is dealt out to them {rule} instead, so that they are "
                "not equally exposed under all groupings."
            )
    return " ".join(said)


def write_exposure(material: Material) -> Section | None:
    """Examples a task, where a variant departs from equal exposure; none where no variant does."""
    variants = unequal_variants(material.collection)
    if not variants:
        return None
    names = listed([literal(name) for name in variants])
    intro = paragraph(
        f"Under {names} tasks are **not equally exposed**, by `training.sampling`: a model is trained on as many "
        "examples as its tasks have under every grouping, but these are dealt out anew. A task's sequence of examples "
        "is the same as ever, and longer or shorter.",
        "Such a variant is compared with the study's first one under the same grouping; its differences between "
        "groupings are those of sharing and of exposure together.",
    )
    tables = [
        _examples(material, variant, scale)
        for variant, scale in material.comparison.scales_by_variant
        if variant in variants
    ]
    return section("Exposure", intro, *tables)


def _examples(material: Material, variant: str, scale: Scale) -> Block | None:
    """Of each task, a column a grouping; the mean over seeds, which differ where their training samples do."""
    columns = {
        grouping: {
            task: [
                run
                for run in material.comparison.runs(variant, scale, grouping)
                if run.result is not None and task in run.row.tasks
            ]
            for task in material.collection.tasks
        }
        for grouping in material.comparison.groupings
    }
    columns = {name: of for name, of in columns.items() if any(of.values())}
    rows = []
    for task in material.collection.tasks:
        cells = []
        for of in columns.values():
            results = [run.result for run in of[task] if run.result is not None]
            mean = sum(result.examples[task] for result in results) / len(results) if results else None
            changed = " *" if any(is_unequal(run, task) for run in of[task]) else ""
            cells.append(table_cells.number(text.count(mean) + changed, mean))
        n_train = [run.result.n_train[task] for of in columns.values() for run in of[task] if run.result is not None]
        rows.append((Cell(task), table_cells.count(max(n_train, default=None)), *cells))
    if not columns:
        return None
    labels = tuple(grouping_label(name) for name in columns)
    where = f"{literal(variant)}, {literal(scale_label(scale))}"
    caption = f"Training examples of each task under {where}; * marks those that are not the budget's."
    table = TextTable(
        ("task", "train", *labels), tuple(rows), ("train", *labels), name=f"examples-{variant}-s{scale:g}",
        caption=caption,
    )  # fmt: skip
    return Details(f"Examples a task: {where}", (table,))
