"""The report's tables: scores.csv, comparison.csv, summary.csv and others, with the columns of the contract."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from usaggr.report.across import AcrossTasks, across_tasks
from usaggr.report.affinity import AFFINITY_COLUMNS, AffinityTables, make_affinity
from usaggr.report.cases import Cases
from usaggr.report.cell_tables import CellTables
from usaggr.report.collect import Collection
from usaggr.report.comparison import CELL, COMPARISON_COLUMNS, cells_of, compare, pairs_of
from usaggr.report.controls import CONTROL_COLUMNS, make_controls
from usaggr.report.interplay import Interplay, make_interplay
from usaggr.report.intervals import Difference, Key, differences
from usaggr.report.judgement import judge_cells
from usaggr.report.observations import SCORE_COLUMNS, observe
from usaggr.report.routing import ROUTING_COLUMNS, SIMILARITY_COLUMNS, RoutingTables, make_routing
from usaggr.report.staged import STAGED_COLUMNS, make_staged
from usaggr.report.summary import SUMMARY_COLUMNS, summarise
from usaggr.report.validity import read_validity
from usaggr.report.variants import VARIANT_COLUMNS, Variants, make_variants

_OPTIONAL = ("variants", "controls", "staged", "routing", "routing_similarity", "affinity")
"""Files of which there are none where they would be empty."""


@dataclass(frozen=True)
class Tables:
    """All that figures and text are made of."""

    scores: pd.DataFrame
    """A row for each run, task, grouping and metric; columns SCORE_COLUMNS."""
    cells: pd.DataFrame
    """A row for each cell and metric, the reference's too: mean over seeds beside the trivial predictor."""
    comparison: pd.DataFrame
    """A row for each cell of the other groupings and metric: COMPARISON_COLUMNS and judgement.OWN_COLUMNS."""
    summary: pd.DataFrame
    """A row for each grouping, scale and variant; columns SUMMARY_COLUMNS."""
    observations: pd.DataFrame
    """The long table under all others (see `observe`)."""
    validity: pd.DataFrame
    """A row for each finished run and task (see `read_validity`)."""
    cases: Cases
    """Pseudo-values of all cells."""
    interplay: Interplay
    """With data scale, task type and clinical group, and the paper's claims."""
    across: AcrossTasks
    """Descriptive tests over tasks."""
    variants: Variants
    """Compared with the first one."""
    differences: dict[Key, Difference]
    """Of the cells that are compared, by the values of comparison.CELL."""
    controls: pd.DataFrame
    """Groupings among those drawn by lot (see `make_controls`); without rows where there are none."""
    staged: pd.DataFrame
    """Staged groupings against those of one stage (see `make_staged`); without rows where there are none."""
    routing: RoutingTables
    """How runs with experts use them; empty where no run has any."""
    affinity: AffinityTables
    """What affinities predicted; empty where none were estimated."""


def make_tables(collection: Collection) -> Tables:
    """All tables of what was collected."""
    study, cases = collection.study, Cases(collection)
    observations = observe(collection)
    validity = read_validity(collection, study.convergence_margin)
    pairs = pairs_of(observations, study.reference)
    cells = cells_of(observations, cases, study.confidence)
    found = differences(pairs, CELL, cases)
    compared = compare(pairs, found, study.confidence)
    comparison = judge_cells(compared, found, cells, pairs, validity, cases, study)
    return Tables(
        scores=_all_scores(collection, observations),
        cells=cells,
        comparison=comparison,
        summary=summarise(comparison, CellTables(collection, cases), collection),
        observations=observations,
        validity=validity,
        cases=cases,
        interplay=make_interplay(collection, comparison, cases),
        across=across_tasks(observations, comparison, study),
        variants=make_variants(collection, observations, validity, cases),
        differences=found,
        controls=make_controls(collection),
        staged=make_staged(collection, observations, cases),
        routing=make_routing(collection),
        affinity=make_affinity(collection),
    )


def _all_scores(collection: Collection, observations: pd.DataFrame) -> pd.DataFrame:
    """Of all runs, those of controls last."""
    columns = list(SCORE_COLUMNS)
    if collection.controls is None:
        return observations[columns]
    drawn = observe(collection.controls)
    return pd.concat([observations[columns], drawn.loc[drawn["grouping"].isin(collection.study.controls), columns]])


def write_tables(tables: Tables, folder: Path) -> None:
    """Write the tables of the contract as CSV; what is missing or not defined is an empty field.

    variants.csv is there where the study has several variants, controls.csv where it has groupings drawn by lot,
    staged.csv where it has staged ones, those of routing where runs have experts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    routing = tables.routing
    for name, table, columns in (
        ("scores", tables.scores, SCORE_COLUMNS),
        ("comparison", tables.comparison, COMPARISON_COLUMNS),
        ("summary", tables.summary, SUMMARY_COLUMNS),
        ("variants", tables.variants.effects, VARIANT_COLUMNS),
        ("controls", tables.controls, CONTROL_COLUMNS),
        ("staged", tables.staged, STAGED_COLUMNS),
        ("routing", routing.table, ROUTING_COLUMNS),
        ("routing_similarity", routing.similarity, SIMILARITY_COLUMNS),
        ("affinity", tables.affinity.points, AFFINITY_COLUMNS),
    ):
        if name in _OPTIONAL and table.empty:
            continue
        # Ten digits: more than any score has, and no 0.30000000000000004 in a table that people open.
        text = table[list(columns)].to_csv(index=False, float_format="%.10g", lineterminator="\n")
        (folder / f"{name}.csv").write_text(text)
