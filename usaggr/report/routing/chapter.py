"""How experts are used: how far routing differs between tasks, which tasks are alike, which experts serve nobody.

Only where runs route. Nothing is averaged over runs by an expert's number: these mean nothing across runs.
"""

from collections.abc import Iterator

import numpy as np

from usaggr.analysis.compare_study import Scale
from usaggr.document.display_names import grouping_label, listed, plural
from usaggr.document.elements import Block, Cell, Items, Paragraph, Section, TextTable, literal
from usaggr.document.numbers import MISSING
from usaggr.report import table_cells
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.report.routing.routing_sentences import say_dead, say_entropy, say_network, say_similarity, two
from usaggr.report.routing.tables import RunRouting, make_routing, mean_similarity
from usaggr.statistics.routing_similarity import nearest_tasks, normalised_entropy

_MOST_ROWS = 30
_MOST_FAULTS = 10


def write_routing(material: Material) -> Section | None:
    """What was found, figures and tables; none where no run has experts and a router."""
    routing = material.tables.of(make_routing)
    if not routing.runs and not routing.faults:
        return None
    parts: tuple[Section | None, ...] = ()
    blocks: tuple[Block | None, ...] = ()
    if len(routing.variants()) > 1:
        parts = tuple(
            section(f"Experts of variant {variant}", *_of_variant(material, variant)) for variant in routing.drawn()
        )
    else:
        blocks = tuple(block for variant in routing.drawn() for block in _of_variant(material, variant))
    dead = section("Dead experts", *_dead(routing.runs))
    lost = section("Runs that do not say how they route", *_faults(material))
    return section(
        "How experts are used", _caveat(material), *blocks, *_overview(material), sections=(*parts, dead, lost)
    )


def _caveat(material: Material) -> Paragraph | None:
    routing = material.tables.of(make_routing)
    left_out = routing.variants()[len(routing.drawn()) :]
    return paragraph(
        "On the test fold, by the scored weights. Experts have no names of their own: expert 1 of one run is not "
        "expert 1 of another, and nothing is averaged over runs by an expert's number. Tasks that are routed alike use "
        "the same experts, which is no proof that sharing helps them: that is told by scores alone.",
        f"{plural(len(left_out), 'variant')} with experts {'has' if len(left_out) == 1 else 'have'} no figures here: "
        f"{literal(listed(left_out))}; all numbers are in tables/routing.csv."
        if left_out
        else "",
    )


def _of_variant(material: Material, variant: str) -> tuple[Block | None, ...]:
    """Words, figures and a table a task, of the block with the most tasks at its largest scale."""
    runs = material.tables.of(make_routing).shown(variant)
    row = runs[0].run.row
    tasks = {task: material.collection.data.tasks[task].task for task in row.tasks}
    seeds = f"seed{'s' * (len(runs) > 1)} {listed([str(one.run.row.seed) for one in runs])}"
    labels = listed([literal(grouping_label(name)) for name in row.groupings])
    where = f"Under {labels}, with {literal(material.where(variant, row.scale))} ({seeds}):"
    return (
        paragraph(say_network(runs)),
        paragraph(where),
        Items((say_similarity(runs, tasks), say_entropy(runs), say_dead(runs))),
        *material.pictures(f"routing:{variant}"),
        _by_task(material, runs, variant),
    )


def _by_task(material: Material, runs: tuple[RunRouting, ...], variant: str) -> Block:
    """A row a task: means over seeds of what does not depend on the experts' numbers."""
    names = runs[0].tasks
    entropy = np.mean([one.entropy.mean(axis=1) for one in runs], axis=0)
    evenness = np.mean([normalised_entropy(one.share).mean(axis=1) for one in runs], axis=0)
    most = np.mean([one.share.max(axis=2).mean(axis=1) for one in runs], axis=0)
    similarity = mean_similarity(runs)
    nearest = nearest_tasks(similarity) if len(names) > 1 else None
    rows = []
    for task in (task for task in material.collection.tasks if task in names):
        place, facts = names.index(task), material.collection.data.tasks[task].task
        numbers = [table_cells.number(two(float(of[place])), of[place]) for of in (entropy, evenness, most)]
        near = Cell(MISSING)
        if nearest is not None:
            value = float(similarity[place, nearest[place]])
            near = Cell(f"{names[nearest[place]]} ({two(value)})", value)
        rows.append((Cell(task), Cell(facts.clinical_group), Cell(facts.type), *numbers, near))
    columns = ("entropy", "evenness of use", "most used expert's share")
    where = literal(material.where(variant, runs[0].run.row.scale))
    caption = (
        f"Routing of each task, {where}, mean over transformer blocks and seeds: entropy of the router's softmax for a "
        "token; evenness, the entropy of the shares of all tokens together, 1 where the task uses all experts alike; "
        f"the share of its most used expert (even: {1 / runs[0].experts:.3g}); the task with the most similar routing."
    )
    several = f"-{variant}" if len(material.study.variants) > 1 else ""
    named = ("task", "clinical group", "type", *columns, "nearest task")
    return TextTable(named, tuple(rows), columns, name=f"routing{several}", caption=caption)


def _overview(material: Material) -> Iterator[Block]:
    """A row a variant, scale and grouping that has runs with experts."""
    routing = material.tables.of(make_routing)
    held: dict[tuple[str, Scale, str], list[RunRouting]] = {}
    for one in routing.runs:
        for grouping in one.run.row.groupings:
            held.setdefault((one.run.row.variant, one.run.row.scale, grouping), []).append(one)
    similarities: dict[tuple[str, Scale, str], list[float]] = {}
    for pair in routing.similarities:
        similarities.setdefault((pair.variant, pair.scale, pair.grouping), []).append(pair.similarity)
    rows = []
    for setting in (setting for setting in material.comparison.settings if setting in held):
        (variant, scale, grouping), runs = setting, held[setting]
        pairs = np.array(similarities.get(setting, []))
        entropy = float(np.mean([one.entropy.mean() for one in runs]))
        dead, of = sum(int(one.dead.sum()) for one in runs), sum(one.dead.size for one in runs)
        alike = Cell(MISSING)
        if len(pairs):
            alike = Cell(f"{two(pairs.mean())} [{two(pairs.min())}, {two(pairs.max())}]", float(pairs.mean()))
        rows.append(
            (
                Cell(variant),
                table_cells.number(f"{scale:g}", scale),
                Cell(grouping_label(grouping)),
                table_cells.count(len(runs)),
                table_cells.number(two(entropy), entropy),
                alike,
                Cell(f"{dead:,} of {of:,}", dead / of),
            )
        )
    names = ("scale", "runs", "entropy", "similarity of tasks", "dead experts")
    caption = (
        "Routing by grouping: mean entropy of the router's softmax; mean similarity [lowest, highest] of two tasks "
        "that one model serves; experts that are dead, over all runs and transformer blocks."
    )
    if rows:
        columns = ("variant", "scale", "grouping", *names[1:])
        yield TextTable(columns, tuple(rows), names, name="experts", caption=caption)


def _dead(runs: tuple[RunRouting, ...]) -> tuple[Block | None, ...]:
    """Which experts of which runs are dead: those of models of many tasks first, whom more tasks could have used."""
    rows = []
    for one in sorted((one for one in runs if one.dead.any()), key=lambda one: -len(one.tasks)):
        said = []
        for place in np.flatnonzero(one.dead.any(axis=1)):
            experts = [str(expert + 1) for expert in np.flatnonzero(one.dead[place])]
            said.append(f"{listed(experts)} of block {one.blocks[place]}")
        row = one.run.row
        labels = ", ".join(grouping_label(name) for name in row.groupings)
        rows.append((Cell(row.run_id), Cell(labels), table_cells.count(len(one.tasks)), Cell("; ".join(said))))
    if not rows:
        return ()
    more = (
        f"And {plural(len(rows) - _MOST_ROWS, 'more run')}; all are in tables/routing.csv."
        if len(rows) > _MOST_ROWS
        else ""
    )
    caption = (
        f"{capital(plural(len(rows), 'run'))} with dead experts: those with under a tenth of an even share on every "
        "task of their run. They take room and time, and do nothing."
    )
    table = TextTable(
        ("run", "groupings", "tasks", "dead experts"), tuple(rows[:_MOST_ROWS]), ("tasks",), caption=caption
    )
    return table, paragraph(more)


def _faults(material: Material) -> tuple[Block | None, ...]:
    """Finished runs that should say how they route, and do not."""
    faults = material.tables.of(make_routing).faults
    if not faults:
        return ()
    said = [f"{literal(run.row.run_id)}: {literal(why)}." for run, why in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        said.append(f"And {plural(len(faults) - _MOST_FAULTS, 'more run')}.")
    head = paragraph(
        f"{plural(len(faults), 'finished run')} with experts {'is' if len(faults) == 1 else 'are'} left out of this "
        "chapter, and of nothing else:"
    )
    return head, Items(tuple(said))
