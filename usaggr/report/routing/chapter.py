"""Chapter on experts: differences of routing between tasks, the most similar tasks, and dead experts.

Experts are never matched between runs by their numbers, because these numbers are arbitrary in each run.
"""

from collections.abc import Iterator

import numpy as np

from usaggr.analysis.compare_study import Scale
from usaggr.document.display_names import grouping_label, join_names, pluralize
from usaggr.document.elements import Block, Cell, Items, Paragraph, Section, TextTable, escape_markdown
from usaggr.document.numbers import MISSING
from usaggr.report import table_cells
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.report.routing.routing_sentences import (
    describe_dead,
    describe_entropy,
    describe_network,
    describe_similarity,
    format_two_decimals,
)
from usaggr.report.routing.tables import RunRouting, average_similarity, make_routing
from usaggr.statistics.routing_similarity import compute_normalized_entropy, find_nearest_tasks

_MOST_ROWS = 30
"""Largest number of runs in the table of dead experts."""
_MOST_ERRORS = 10
"""Largest number of unreadable runs that are named."""


def write_routing(material: Material) -> Section | None:
    """Write sentences, figures and tables; None if no run has experts and a router."""
    routing = material.tables.compute(make_routing)
    if not routing.runs and not routing.errors:
        return None
    sections: tuple[Section | None, ...] = ()
    blocks: tuple[Block | None, ...] = ()
    if len(routing.list_variants()) > 1:
        sections = tuple(
            make_section(f"Experts of variant {variant}", *_describe_variant(material, variant))
            for variant in routing.list_drawn_variants()
        )
    else:
        blocks = tuple(
            block for variant in routing.list_drawn_variants() for block in _describe_variant(material, variant)
        )
    dead = make_section("Dead experts", *_tabulate_dead_experts(routing.runs))
    unreadable = make_section("Runs without routing", *_list_unreadable_runs(material))
    return make_section(
        "Use of experts",
        _write_caveat(material),
        *blocks,
        *_tabulate_groupings(material),
        sections=(*sections, dead, unreadable),
    )


def _write_caveat(material: Material) -> Paragraph | None:
    routing = material.tables.compute(make_routing)
    # The variants that are drawn come first in `list_variants`.
    left_out = routing.list_variants()[len(routing.list_drawn_variants()) :]
    return make_paragraph(
        "Routing was measured on the test set, with the scored weights. Numbers of experts are arbitrary: expert 1 of "
        "one run is not expert 1 of another, so nothing is averaged over runs by an expert's number. Tasks with "
        "similar routing use the same experts. This does not show that sharing helps them; only the scores do.",
        f"{pluralize(len(left_out), 'variant')} with experts {'has' if len(left_out) == 1 else 'have'} no figures "
        f"here: {escape_markdown(join_names(left_out))}. All numbers are in tables/routing.csv."
        if left_out
        else "",
    )


def _describe_variant(material: Material, variant: str) -> tuple[Block | None, ...]:
    """Return sentences, figures and a table of the block with the most tasks, at its largest scale."""
    runs = material.tables.compute(make_routing).select_runs(variant)
    row = runs[0].run.row
    tasks = {task: material.collection.data.tasks[task].task for task in row.tasks}
    seeds = f"seed{'s' * (len(runs) > 1)} {join_names([str(routed.run.row.seed) for routed in runs])}"
    labels = join_names([explain_label(name) for name in row.groupings])
    where = f"Under {labels}, with {escape_markdown(material.describe_setting(variant, row.scale))} ({seeds}):"
    return (
        make_paragraph(describe_network(runs)),
        make_paragraph(where),
        Items((describe_similarity(runs, tasks), describe_entropy(runs), describe_dead(runs))),
        *material.make_pictures(f"routing:{variant}"),
        _tabulate_tasks(material, runs, variant),
    )


def _tabulate_tasks(material: Material, runs: tuple[RunRouting, ...], variant: str) -> Block:
    """Return a table with a row per task, of means over seeds that do not depend on the experts' numbers."""
    names = runs[0].tasks
    # Each is a mean over blocks of one run first: the experts of two runs have no common numbers.
    entropy = np.mean([routed.entropy.mean(axis=1) for routed in runs], axis=0)
    evenness = np.mean([compute_normalized_entropy(routed.share).mean(axis=1) for routed in runs], axis=0)
    largest = np.mean([routed.share.max(axis=2).mean(axis=1) for routed in runs], axis=0)
    means = (entropy, evenness, largest)
    similarity = average_similarity(runs)
    nearest = find_nearest_tasks(similarity) if len(names) > 1 else None
    lines = []
    for task in (task for task in material.collection.tasks if task in names):
        index, facts = names.index(task), material.collection.data.tasks[task].task
        numbers = [table_cells.make_number_cell(format_two_decimals(float(mean[index])), mean[index]) for mean in means]
        most_similar = Cell(MISSING)
        if nearest is not None:
            value = float(similarity[index, nearest[index]])
            most_similar = Cell(f"{names[nearest[index]]} ({format_two_decimals(value)})", value)
        lines.append((Cell(task), Cell(facts.clinical_group), Cell(facts.type), *numbers, most_similar))
    columns = ("entropy", "evenness of use", "most used expert's share")
    where = escape_markdown(material.describe_setting(variant, runs[0].run.row.scale))
    caption = (
        f"Routing of each task, {where}, mean over transformer blocks and seeds. Entropy: of the router's softmax for "
        "single tokens. Evenness of use: entropy of the shares over all tokens; 1 if the task uses all experts evenly. "
        f"An even share of an expert is {1 / runs[0].experts:.3g}. The last column is the task with the most similar "
        "routing, with the similarity."
    )
    several = f"-{variant}" if len(material.study.variants) > 1 else ""
    named = ("task", "clinical group", "type", *columns, "most similar task")
    return TextTable(named, tuple(lines), columns, name=f"routing{several}", caption=caption)


def _tabulate_groupings(material: Material) -> Iterator[Block]:
    """Yield a table with a row for each variant, scale and grouping that has runs with experts."""
    routing = material.tables.compute(make_routing)
    by_setting: dict[tuple[str, Scale, str], list[RunRouting]] = {}
    for routed in routing.runs:
        for grouping in routed.run.row.groupings:
            by_setting.setdefault((routed.run.row.variant, routed.run.row.scale, grouping), []).append(routed)
    similarities: dict[tuple[str, Scale, str], list[float]] = {}
    for pair in routing.similarities:
        similarities.setdefault((pair.variant, pair.scale, pair.grouping), []).append(pair.similarity)
    lines = []
    for setting in (setting for setting in material.comparison.settings if setting in by_setting):
        (variant, scale, grouping), runs = setting, by_setting[setting]
        pairs = np.array(similarities.get(setting, []))
        entropy = float(np.mean([routed.entropy.mean() for routed in runs]))
        dead, experts = sum(int(routed.dead.sum()) for routed in runs), sum(routed.dead.size for routed in runs)
        similarity = Cell(MISSING)
        if len(pairs):
            similarity = Cell(
                f"{format_two_decimals(pairs.mean())} [{format_two_decimals(pairs.min())}, "
                f"{format_two_decimals(pairs.max())}]",
                float(pairs.mean()),
            )
        lines.append(
            (
                Cell(variant),
                table_cells.make_number_cell(f"{scale:g}", scale),
                Cell(grouping_label(grouping)),
                table_cells.make_count_cell(len(runs)),
                table_cells.make_number_cell(format_two_decimals(entropy), entropy),
                similarity,
                Cell(f"{dead:,} of {experts:,}", dead / experts),
            )
        )
    names = ("scale", "runs", "entropy", "similarity of tasks", "dead experts")
    caption = (
        "Routing per grouping: mean entropy of the softmax; mean similarity [lowest, highest] of the routing of "
        "two tasks in one model; dead experts over all runs and transformer blocks."
    )
    if lines:
        columns = ("variant", "scale", "grouping", *names[1:])
        yield TextTable(columns, tuple(lines), names, name="experts", caption=caption)


def _tabulate_dead_experts(runs: tuple[RunRouting, ...]) -> tuple[Block | None, ...]:
    """Return a table of dead experts by run, those of models of many tasks first."""
    lines = []
    for routed in sorted((routed for routed in runs if routed.dead.any()), key=lambda routed: -len(routed.tasks)):
        names = []
        for index in np.flatnonzero(routed.dead.any(axis=1)):
            experts = [str(expert + 1) for expert in np.flatnonzero(routed.dead[index])]
            names.append(f"{join_names(experts)} of block {routed.blocks[index]}")
        row = routed.run.row
        labels = ", ".join(grouping_label(name) for name in row.groupings)
        lines.append(
            (Cell(row.run_id), Cell(labels), table_cells.make_count_cell(len(routed.tasks)), Cell("; ".join(names)))
        )
    if not lines:
        return ()
    more = (
        f"And {pluralize(len(lines) - _MOST_ROWS, 'more run')}; all are in tables/routing.csv."
        if len(lines) > _MOST_ROWS
        else ""
    )
    caption = (
        f"{capitalize(pluralize(len(lines), 'run'))} with dead experts, which have less than a tenth of an even share "
        "on every task of their run. They use memory and time but have no effect."
    )
    table = TextTable(
        ("run", "groupings", "tasks", "dead experts"), tuple(lines[:_MOST_ROWS]), ("tasks",), caption=caption
    )
    return table, make_paragraph(more)


def _list_unreadable_runs(material: Material) -> tuple[Block | None, ...]:
    """Return a list of finished runs with experts whose routing is missing or unreadable."""
    errors = material.tables.compute(make_routing).errors
    if not errors:
        return ()
    items = [f"{escape_markdown(run.row.run_id)}: {escape_markdown(reason)}." for run, reason in errors[:_MOST_ERRORS]]
    if len(errors) > _MOST_ERRORS:
        items.append(f"And {pluralize(len(errors) - _MOST_ERRORS, 'more run')}.")
    head = make_paragraph(
        f"{pluralize(len(errors), 'finished run')} with experts {'is' if len(errors) == 1 else 'are'} left out of this "
        "chapter but included in all others:"
    )
    return head, Items(tuple(items))
