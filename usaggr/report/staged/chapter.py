"""Is it better to train a shared model first, and specialists from its weights? Staged groupings beside one stage."""

from collections.abc import Sequence

from usaggr.analysis.collect import CollectedRun
from usaggr.analysis.compare_study import Scale
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.report.staged.tables import StagedRow, make_staged
from usaggr.results.stored_study import StagedFacts
from usaggr.statistics.verdicts import ALPHA

_MORE = 1.01
"""Times the reference's examples from which a grouping has more budget; rounding makes no such difference."""


def write_staged(material: Material) -> Section | None:
    """What a second stage does, against the same blocks in one stage and against the model it starts from."""
    staged = {name: facts for name, facts in material.study.staged.items() if name in material.study.groupings}
    if not staged:
        return None
    intro = paragraph(
        "A staged grouping trains a shared model first; each of its own models then starts from those weights and goes",
        "on in its tasks' sequences of examples where the first stage has stopped.",
        "Under an equal budget both stages together see as many examples of a task as one stage does; with more budget",
        "the second stage comes on top, and a difference may be one of examples.",
    )
    described = Items(tuple(_describe(name, facts) for name, facts in staged.items()))
    rows = material.tables.of(make_staged)
    known = [row for row in rows if not table_cells.is_missing(row.delta_skill)]
    said = Items(tuple(_sentence(material, row) for row in known)) if known else None
    exposure = [_exposure(material, variant, scale) for variant, scale in material.comparison.scales_by_variant]
    return section("Staged strategies", intro, described, said, _table(material, rows), *exposure)


def _describe(name: str, facts: StagedFacts) -> str:
    first = f"the whole of {_label(facts.parent)}"
    if facts.budget == "equal":
        first = f"{_label(facts.parent)} on the first {text.share(facts.share)} of each task's examples"
    changed = f", with {literal(' '.join(facts.overrides))}" if facts.overrides else ""
    extra = ""
    if facts.budget != "equal":
        extra = f" **More budget**: {2 - facts.share:.3g} times the examples of one stage."
    return f"**{_label(name)}**: first {first}, then its own models on {_rest(facts)}{changed}.{extra}"


def _rest(facts: StagedFacts) -> str:
    return "the rest" if facts.budget == "equal" else f"{text.share(1 - facts.share)} as many examples on top"


def _label(name: str) -> str:
    return literal(grouping_label(name))


def _sentence(material: Material, row: StagedRow) -> str:
    where = capital(literal(material.where(row.variant, row.scale)))
    against = f"{_label(row.against)} ({_kin(row)})"
    size = text.difference(row.delta_skill, row.low, row.high, "skill")
    if not table_cells.is_missing(row.p_adjusted) and row.p_adjusted < ALPHA:
        found = f"certainly {'better' if row.delta_skill > 0 else 'worse'} than {against}, by {size} in skill"
    else:
        found = f"not to be told from {against}: {size} in skill"
    few = " (one seed: provisional)" if row.seeds == 1 else ""
    better = row.budget == "extra" and row.delta_skill > 0
    more = " It has more budget, so this may be the examples' doing." if better else ""
    return f"**{where}.** {_label(row.grouping)} is {found}{few}.{more}"


def _kin(row: StagedRow) -> str:
    return "the same blocks in one stage" if row.kin == "same blocks" else "what it starts from"


def _table(material: Material, rows: Sequence[StagedRow]) -> Block | None:
    if not rows:
        return paragraph(
            "The study has neither the same blocks in one stage nor the groupings that these start from: there is",
            "nothing to compare them with but the reference.",
        )
    several = len(material.study.variants) > 1
    shown = [
        (
            grouping_label(row.grouping),
            "more" if row.budget == "extra" else "equal",
            grouping_label(row.against),
            _kin(row),
            *((str(row.variant),) if several else ()),
            Cell(f"{row.scale:g}", float(row.scale)),
            table_cells.number(text.difference(row.delta_skill, row.low, row.high, "skill"), row.delta_skill),
            table_cells.p_value(row.p_adjusted),
            table_cells.count(row.tasks),
            table_cells.count(row.seeds),
            row.note,
        )
        for row in rows
    ]
    numbers = ("scale", "Δ skill", "p", "tasks", "seeds")
    columns = ("staged", "budget", "against", "which is", *(("variant",) if several else ()), *numbers, "note")
    caption = (
        "Mean difference in skill over tasks, positive where the staged grouping is better, with its interval over "
        "seeds and test subjects. p is adjusted by Holm over the rows of one scale and variant."
    )
    return TextTable(columns, tuple(shown), numbers, name="staged", caption=caption)


def _exposure(material: Material, variant: str, scale: Scale) -> Block | None:
    """Examples, models and time of each grouping, over all stages."""
    of = {name: material.comparison.runs(variant, scale, name) for name in material.comparison.groupings}
    seen = {name: _examples(material, runs) for name, runs in of.items()}
    reference = seen[material.study.reference]
    rows = []
    for name, runs in of.items():
        if not runs:
            continue
        stages = {stage.row.fingerprint: stage for run in runs for stage in material.collection.stages(run)}
        own = {run.row.fingerprint for run in runs}
        ratios = [count / reference[task] for task, count in seen[name].items() if reference.get(task)]
        above = [stage.row.tasks for digest, stage in stages.items() if digest not in own]
        results = [stage.result for stage in stages.values()]
        seconds = None
        if None not in results:
            seconds = sum(result.cost.train_seconds for result in results if result is not None)
        trained = _trained(runs)
        rows.append(
            (
                grouping_label(name),
                _budget(ratios),
                _range(seen[name]),
                table_cells.count(len({run.row.tasks for run in runs})),
                table_cells.count(len(set(above))),
                table_cells.number(text.count(trained), trained),
                table_cells.number(text.duration(seconds), seconds),
            )
        )
    numbers = ("examples a task", "models", "first stages", "trained parameters", "training time")
    where = literal(material.where(variant, scale))
    caption = (
        f"What each grouping was trained on and cost, all stages together, {where}: examples of a task (lowest to "
        "highest over tasks, mean over seeds), models that serve the tasks, models that these start from, parameters "
        "that a model's last stage may change (sum over models), and training time of all seeds, first stages too: "
        "one that several groupings start from counts in each."
    )
    return TextTable(
        ("grouping", "budget", *numbers), tuple(rows), numbers, name=f"stages-{variant}-s{scale:g}", caption=caption
    )


def _examples(material: Material, runs: Sequence[CollectedRun]) -> dict[str, float]:
    """Of each task, in all stages; the mean over the seeds whose stages are all done."""
    counts: dict[str, list[int]] = {}
    for run in runs:
        results = [stage.result for stage in material.collection.stages(run)]
        known = [result for result in results if result is not None]
        if len(known) < len(results) or len(results) < 1 + bool(run.row.parent):
            continue
        for task in run.row.tasks:
            counts.setdefault(task, []).append(sum(result.examples[task] for result in known))
    return {task: sum(of) / len(of) for task, of in counts.items()}


def _budget(ratios: Sequence[float]) -> str:
    if not ratios:
        return text.MISSING
    return f"more: {max(ratios):.3g} times" if max(ratios) > _MORE else "equal"


def _range(seen: dict[str, float]) -> Cell:
    if not seen:
        return Cell(text.MISSING)
    low, high = min(seen.values()), max(seen.values())
    shown = text.count(low) if round(low) == round(high) else f"{text.count(low)} to {text.count(high)}"
    return table_cells.number(shown, high)


def _trained(runs: Sequence[CollectedRun]) -> int | None:
    """Sum over a grouping's models; None where one of them is not known."""
    found = {run.row.tasks: None if run.result is None else run.result.cost.trained_parameters for run in runs}
    known = [count for count in found.values() if count is not None]
    return sum(known) if len(known) == len(found) else None
