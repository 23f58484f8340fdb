"""Topic of the use of experts in mixture-of-experts networks."""

from collections.abc import Iterator

from usaggr.document.display_names import grouping_label, scale_label
from usaggr.metrics.dead_experts import DEAD
from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.routing.chapter import write_routing
from usaggr.report.routing.shares_figure import describe_entropy, describe_shares, draw_entropy, draw_shares
from usaggr.report.routing.similarity_figure import describe_similarity, draw_similarity
from usaggr.report.routing.tables import (
    ROUTING_COLUMNS,
    SIMILARITY_COLUMNS,
    make_routing,
    make_routing_table,
    make_similarity_table,
)
from usaggr.report.tables import Tables
from usaggr.report.topic import Entry, TableFile, Term, Topic

_TERMS = (
    Term(
        "expert",
        "one of several parallel feed-forward layers in a transformer block, combined by weights of the router",
    ),
    Term(
        "router",
        "the layer that gives each token of an image its weights over the experts; the token uses only the experts "
        "with the largest weights",
    ),
    Term(
        "share of an expert",
        "mean weight of the expert over a task's tokens; an even share is 1 / number of experts",
    ),
    Term(
        "entropy (of routing)",
        "entropy of the router's softmax over experts, from 0 (one expert only) to 1 (all experts equally)",
    ),
    Term("evenness of use", "entropy of a task's shares: 1 if its tokens together use all experts equally"),
    Term("dead expert", "an expert with less than a tenth of an even share on every task of its run"),
    Term(
        "similarity of routing",
        "similarity of two tasks in one model: 1 if their shares of experts are equal, 0 if they use no common expert",
    ),
)
_COLUMNS = (
    Term(
        "block, expert, share, chosen",
        "in routing.csv: transformer block and expert, from 1; the expert's share of the "
        "task; the fraction of the task's tokens that have it among their chosen experts",
    ),
    Term(
        "probability, entropy, dead",
        "in routing.csv: mean of the router's softmax; its mean entropy; true if the expert is dead in the run",
    ),
    Term(
        "task_a, task_b, similarity, sd",
        "in routing_similarity.csv: two tasks that share a model; mean and standard "
        "deviation over seeds of the similarity of their routing",
    ),
)


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    collection = tables.comparison.collection
    routing = tables.compute(make_routing)
    runs = routing.select_runs(variant) if variant in routing.list_drawn_variants() else ()
    if not runs:
        return
    facts = [collection.data.tasks[task].task for task in collection.tasks]
    groups = {task.id: task.clinical_group for task in facts}
    chapter = f"routing:{variant}"
    # Runs of one selection differ only in their seed, so that the first one names them all.
    row = runs[0].run.row
    where = f"{', '.join(map(grouping_label, row.groupings))}, {scale_label(row.scale)}"
    if len(row.tasks) > 1:
        yield Drawing(
            "routing_shares", f"Shares of experts, {where}", describe_shares(runs[0]), chapter,
            draw_shares(runs[0], collection.tasks, groups),
        )  # fmt: skip
        yield Drawing(
            "routing_similarity", f"Similarity of routing, {where}", describe_similarity(runs), chapter,
            draw_similarity(runs, facts),
        )  # fmt: skip
    yield Drawing(
        "routing_entropy", f"Entropy of routing, {where}", describe_entropy(runs), chapter,
        draw_entropy(runs, collection.tasks, groups),
    )  # fmt: skip


def _tables(tables: Tables) -> Iterator[TableFile]:
    routing = tables.compute(make_routing)
    yield TableFile("routing", ROUTING_COLUMNS, make_routing_table(routing.runs))
    yield TableFile("routing_similarity", SIMILARITY_COLUMNS, make_similarity_table(routing.similarities))


def _describe_methods(material: Material) -> Iterator[Entry]:
    if not material.tables.compute(make_routing).runs:
        return
    content = (
        "Routing was measured with the scored weights on the tokens of the test set. A task's share of an expert is "
        "the mean weight that its tokens give to the expert's output. The similarity of two tasks is 1 minus the "
        "Jensen-Shannon distance (the root of the divergence to base 2, a metric: Endres and Schindelin 2003) between "
        "their shares in one model, averaged over transformer blocks and then over seeds. Tasks are ordered by average "
        "linkage. Entropy is that of the router's softmax for a token, divided by the log of the number of experts. An "
        f"expert is dead in a run if its share is below {DEAD:g} of an even share on each of the run's tasks. These "
        "results are descriptive."
    )
    yield "Routing", content


def _list_terms(material: Material) -> tuple[Term, ...]:
    return _TERMS if _has_routing(material) else ()


def _list_columns(material: Material) -> tuple[Term, ...]:
    return _COLUMNS if _has_routing(material) else ()


def _has_routing(material: Material) -> bool:
    routing = material.tables.compute(make_routing)
    return bool(routing.runs or routing.errors)


TOPIC = Topic(
    write_routing,
    tables=_tables,
    drawings=_drawings,
    methods=_describe_methods,
    terms=_list_terms,
    columns=_list_columns,
)
