"""The report's tables: scores.csv, comparison.csv, summary.csv and others, with the columns of the contract."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.comparison import COMPARISON_COLUMNS
from usaggr.analysis.observations import SCORE_COLUMNS, observe
from usaggr.analysis.summary import SUMMARY_COLUMNS
from usaggr.report.across_tasks.tables import AcrossTasks, across_tasks
from usaggr.report.affinity.tables import AFFINITY_COLUMNS, AffinityTables, make_affinity
from usaggr.report.controls.tables import CONTROL_COLUMNS, make_controls
from usaggr.report.routing.tables import ROUTING_COLUMNS, SIMILARITY_COLUMNS, RoutingTables, make_routing
from usaggr.report.scale.tables import Interplay, make_interplay
from usaggr.report.staged.tables import STAGED_COLUMNS, make_staged
from usaggr.report.variants.tables import VARIANT_COLUMNS, Variants, make_variants

_OPTIONAL = ("variants", "controls", "staged", "routing", "routing_similarity", "affinity")
"""Files of which there are none where they would be empty."""


@dataclass(frozen=True)
class Tables:
    """All that figures and text are made of, from one collection.

    What every page needs is computed by `make_tables`. Tables of single chapters are computed when they are first
    asked for, since they take most of the time: a caller that reads the comparison alone does not pay for them.
    """

    comparison: StudyComparison
    """Cells, differences and verdicts, on which all others rest."""
    routing: RoutingTables
    """How runs with experts use them; empty where no run has any."""
    affinity: AffinityTables
    """What affinities predicted; empty where none were estimated."""

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row for each run, task, grouping and metric; columns SCORE_COLUMNS."""
        return _all_scores(self.comparison)

    @cached_property
    def interplay(self) -> Interplay:
        """With data scale, task type and clinical group, and the paper's claims."""
        return make_interplay(self.comparison)

    @cached_property
    def across(self) -> AcrossTasks:
        """Descriptive tests over tasks."""
        return across_tasks(self.comparison.observations, self.comparison.verdicts, self.comparison.study)

    @cached_property
    def variants(self) -> Variants:
        """Compared with the first one."""
        return make_variants(self.comparison)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """Groupings among those drawn by lot (see `make_controls`); without rows where there are none."""
        return make_controls(self.comparison)

    @cached_property
    def staged(self) -> pd.DataFrame:
        """Staged groupings against those of one stage (see `make_staged`); without rows where there are none."""
        return make_staged(self.comparison)


def make_tables(collection: Collection) -> Tables:
    """Compare the study of these runs, and return all tables of its report."""
    # Routing and affinity read files of the study's folder: now, so that all tables are of one moment.
    return Tables(compare_study(collection), make_routing(collection), make_affinity(collection))


def _all_scores(comparison: StudyComparison) -> pd.DataFrame:
    """Return the scores of all runs, those of controls last."""
    columns, collection = list(SCORE_COLUMNS), comparison.collection
    if collection.controls is None:
        return comparison.observations[columns]
    drawn = observe(collection.controls)
    drawn = drawn.loc[drawn["grouping"].isin(collection.study.controls), columns]
    return pd.concat([comparison.observations[columns], drawn])


def write_tables(tables: Tables, folder: Path) -> None:
    """Write the tables of the contract as CSV; what is missing or not defined is an empty field.

    variants.csv is there where the study has several variants, controls.csv where it has groupings drawn by lot,
    staged.csv where it has staged ones, those of routing where runs have experts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    routing = tables.routing
    for name, table, columns in (
        ("scores", tables.scores, SCORE_COLUMNS),
        ("comparison", tables.comparison.verdicts, COMPARISON_COLUMNS),
        ("summary", tables.comparison.summary, SUMMARY_COLUMNS),
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
