"""The comparison of a study: the one way from finished runs to cells, differences and verdicts.

runs -> observations -> pairs of a cell and its reference -> differences with intervals -> validity -> verdicts. The
report and its controls, affinity, advice, the choice of models and the benchmarks all read its result.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import pandas as pd

from usaggr.analysis.cell_rows import CellKey, CellScore, CellVerdict
from usaggr.analysis.cell_scores import Cases
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.comparison import cells_of, compare, pairs_of
from usaggr.analysis.convergence_table import read_validity
from usaggr.analysis.difference_intervals import Difference, differences
from usaggr.analysis.observations import observe
from usaggr.analysis.row_tables import make_table
from usaggr.analysis.summary import INTEGERS, SUMMARY_COLUMNS, SummaryLine, summarize
from usaggr.analysis.verdict_table import COMPARISON_COLUMNS, OWN_COLUMNS, judge_cells
from usaggr.analysis.weighted_sums import WeightedSums
from usaggr.results.stored_study import StudyFacts

Scale = float | int
_COUNTS = ("n_test", "n_subjects")


@dataclass(frozen=True)
class StudyComparison:
    """All groupings of a study against its reference, cell by cell, and how its parts are picked out."""

    collection: Collection
    """The runs that are compared; those of controls are compared on their own."""
    observations: pd.DataFrame
    """The long table under all others (see `observe`)."""
    convergence: pd.DataFrame
    """A row for each finished run and task (see `read_validity`)."""
    cases: Cases
    """Pseudo-values of all cells."""
    cells: tuple[CellScore, ...]
    """Each cell and metric, the reference's too: mean over seeds beside the trivial predictor."""
    differences: dict[CellKey, Difference]
    """Of the cells that can be compared."""
    verdicts: tuple[CellVerdict, ...]
    """Each cell of the other groupings and metric: its difference from the reference, and what that proves."""

    @property
    def study(self) -> StudyFacts:
        """The study, as its folder describes it."""
        return self.collection.study

    @cached_property
    def weighted_sums(self) -> WeightedSums:
        """Sums of cells' skill and of their differences, from which means over tasks and contrasts are made."""
        return WeightedSums(self.observations, self.cases, self.study.reference)

    @cached_property
    def summary(self) -> tuple[SummaryLine, ...]:
        """Each variant, scale and grouping over all tasks, the reference too."""
        return summarize(self.verdicts, self.weighted_sums, self.collection)

    @cached_property
    def cell_table(self) -> pd.DataFrame:
        """`cells` as a data frame with a column a field."""
        return make_table(CellScore, self.cells, [field.name for field in fields(CellScore)], _COUNTS)

    @cached_property
    def verdict_table(self) -> pd.DataFrame:
        """`verdicts` as a data frame: the columns of comparison.csv, then those that go past it."""
        return make_table(CellVerdict, self.verdicts, [*COMPARISON_COLUMNS, *OWN_COLUMNS], _COUNTS)

    @cached_property
    def summary_table(self) -> pd.DataFrame:
        """`summary` as a data frame: the columns of summary.csv."""
        return make_table(SummaryLine, self.summary, SUMMARY_COLUMNS, INTEGERS)

    @cached_property
    def controls(self) -> "StudyComparison | None":
        """The study with its controls among the groupings, compared in the same way; None without controls."""
        return None if self.collection.controls is None else _compare(self.collection.controls, main_only=False)

    @cached_property
    def settings(self) -> tuple[tuple[str, Scale, str], ...]:
        """Variant, scale and grouping of all that is planned, in the study's order."""
        planned = {(r.row.variant, r.row.scale, name) for r in self.collection.runs for name in r.row.groupings}
        study = self.study
        ordered = [(v, s, g) for v in study.variants for s in study.scales for g in study.groupings]
        return tuple(setting for setting in ordered if setting in planned)

    @cached_property
    def scales_by_variant(self) -> tuple[tuple[str, Scale], ...]:
        """Variant and scale of what is planned: variant by variant, the largest scale first."""
        planned = dict.fromkeys((variant, scale) for variant, scale, _ in self.settings)
        variants = list(self.study.variants)
        return tuple(sorted(planned, key=lambda pair: (variants.index(pair[0]), -pair[1])))

    @cached_property
    def groupings(self) -> tuple[str, ...]:
        """The reference first, then the others in the study's order."""
        return tuple(sorted(self.study.groupings, key=lambda name: name != self.study.reference))

    @property
    def others(self) -> tuple[str, ...]:
        """Groupings but for the reference."""
        return tuple(name for name in self.study.groupings if name != self.study.reference)

    @cached_property
    def runs_done(self) -> int:
        """Number of runs that are done."""
        return sum(run.state == "done" for run in self.collection.runs)

    def runs(self, variant: str, scale: Scale, grouping: str) -> list[CollectedRun]:
        """Return the runs of a grouping at a scale, of all seeds, done or not."""
        return [
            run
            for run in self.collection.runs
            if (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings
        ]

    def models(self, grouping: str) -> int:
        """Return the number of blocks of a grouping: how many models serve all tasks."""
        return len({run.row.tasks for run in self.collection.runs if grouping in run.row.groupings})

    def main_verdicts(self, variant: str, scale: Scale) -> list[CellVerdict]:
        """Return the verdicts on the main metrics at a scale."""
        return [row for row in self.verdicts if row.main and (row.variant, row.scale) == (variant, scale)]

    def main_cells(self, variant: str, scale: Scale) -> list[CellScore]:
        """Return the cells' scores on the main metrics at a scale."""
        return [row for row in self.cells if row.main and (row.variant, row.scale) == (variant, scale)]

    def summary_at(self, variant: str, scale: Scale) -> list[SummaryLine]:
        """Return the lines of the summary at a scale."""
        return [line for line in self.summary if (line.variant, line.scale) == (variant, scale)]


def compare_study(collection: Collection, main_only: bool = False) -> StudyComparison:
    """Compare all groupings of a study with its reference.

    Args:
        collection: finished and planned runs of the study.
        main_only: whether to compare the main metric of each task alone, which is quicker.
    """
    return _compare(collection, main_only)


def _compare(collection: Collection, main_only: bool) -> StudyComparison:
    study, cases = collection.study, Cases(collection)
    observations = observe(collection)
    if main_only:
        observations = observations[observations["main"]]
    convergence = read_validity(collection, study.convergence_margin)
    pairs = pairs_of(observations, study.reference)
    cells = cells_of(observations, cases, study.confidence)
    by_cell = differences(pairs, cases)
    compared = compare(pairs, by_cell, study.confidence)
    verdicts = judge_cells(compared, by_cell, cells, pairs, convergence, cases, study)
    return StudyComparison(collection, observations, convergence, cases, cells, by_cell, verdicts)
