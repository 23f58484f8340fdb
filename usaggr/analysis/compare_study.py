"""Comparison of a study: the only path from finished runs to cells, differences and verdicts.

The steps are observations -> pairs with the reference -> scores of cells -> differences with intervals -> validity of
runs -> verdicts; see `compare_study`. The report and its controls, affinity, advice, the choice of models and the
benchmarks all use its result.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import pandas as pd

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellKey, CellScore, CellVerdict
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.comparison import compare_cells, score_cells
from usaggr.analysis.convergence_table import read_validity
from usaggr.analysis.difference_intervals import Difference, estimate_differences
from usaggr.analysis.observations import Observation, observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import make_table
from usaggr.analysis.summary import INTEGERS, SUMMARY_COLUMNS, SummaryLine, summarize
from usaggr.analysis.training_failures import find_collapsed_seeds
from usaggr.analysis.verdict_table import COMPARISON_COLUMNS, EXTRA_COLUMNS, find_weak_cells, judge_cells
from usaggr.analysis.weighted_sums import WeightedSums
from usaggr.results.stored_study import StudyFacts

Scale = float | int
_COUNTS = ("n_test", "n_subjects")


@dataclass(frozen=True)
class StudyComparison:
    """Comparison of all groupings of a study with its reference, cell by cell."""

    collection: Collection
    """Runs that are compared, without those of the controls (see `controls`)."""
    observations: tuple[Observation, ...]
    """One row per run, task, grouping and metric (see `observe`)."""
    convergence: pd.DataFrame
    """Validity of each finished run and task (see `read_validity`)."""
    pseudovalues: CellPseudovalues
    """Pseudo-values of all cells."""
    cells: tuple[CellScore, ...]
    """Mean score of each cell and metric, including the reference, with the trivial predictor's score."""
    differences: dict[CellKey, Difference]
    """Estimated difference of each cell that can be compared with the reference."""
    verdicts: tuple[CellVerdict, ...]
    """Difference from the reference of each cell and metric of the other groupings, with its verdict."""

    @property
    def study(self) -> StudyFacts:
        """Study, as its folder describes it."""
        return self.collection.study

    @cached_property
    def weighted_sums(self) -> WeightedSums:
        """Weighted sums of skill and of differences, for means over tasks and contrasts."""
        return WeightedSums(self.observations, self.pseudovalues, self.study.reference)

    @cached_property
    def summary(self) -> tuple[SummaryLine, ...]:
        """Summary over all tasks of each variant, scale and grouping, including the reference."""
        return summarize(self.verdicts, self.weighted_sums, self.collection)

    @cached_property
    def cell_table(self) -> pd.DataFrame:
        """Data frame of `cells`, with one column per field."""
        return make_table(CellScore, self.cells, [field.name for field in fields(CellScore)], _COUNTS)

    @cached_property
    def verdict_table(self) -> pd.DataFrame:
        """Data frame of `verdicts`: the columns of comparison.csv, then additional ones."""
        return make_table(CellVerdict, self.verdicts, [*COMPARISON_COLUMNS, *EXTRA_COLUMNS], _COUNTS)

    @cached_property
    def summary_table(self) -> pd.DataFrame:
        """Data frame of `summary`: the columns of summary.csv."""
        return make_table(SummaryLine, self.summary, SUMMARY_COLUMNS, INTEGERS)

    @cached_property
    def controls(self) -> "StudyComparison | None":
        """Comparison of the study with its controls (random groupings) as groupings; None without controls."""
        return None if self.collection.controls is None else compare_study(self.collection.controls)

    @cached_property
    def settings(self) -> tuple[tuple[str, Scale, str], ...]:
        """Planned combinations of variant, scale and grouping, in the study's order."""
        planned = {(r.row.variant, r.row.scale, name) for r in self.collection.runs for name in r.row.groupings}
        study = self.study
        ordered = [(v, s, g) for v in study.variants for s in study.scales for g in study.groupings]
        return tuple(setting for setting in ordered if setting in planned)

    @cached_property
    def scales_by_variant(self) -> tuple[tuple[str, Scale], ...]:
        """Planned combinations of variant and scale: variants in the study's order, the largest scale first."""
        planned = dict.fromkeys((variant, scale) for variant, scale, _ in self.settings)
        variants = list(self.study.variants)
        return tuple(sorted(planned, key=lambda pair: (variants.index(pair[0]), -pair[1])))

    @cached_property
    def groupings(self) -> tuple[str, ...]:
        """Names of the groupings: the reference first, then the others in the study's order."""
        return tuple(sorted(self.study.groupings, key=lambda name: name != self.study.reference))

    @property
    def other_groupings(self) -> tuple[str, ...]:
        """Names of the groupings without the reference, in the study's order."""
        return tuple(name for name in self.study.groupings if name != self.study.reference)

    @cached_property
    def judged_seeds(self) -> int:
        """Largest number of seeds of a cell with a verdict; 0 without verdicts."""
        return max((row.seeds for row in self.verdicts if row.verdict), default=0)

    @property
    def reported_seeds(self) -> tuple[int, ...]:
        """Numbers of seeds at which reports gave verdicts, including this one, in ascending order."""
        return tuple(sorted({*self.collection.reported_seeds, self.judged_seeds} - {0}))

    @cached_property
    def tested_families(self) -> int:
        """Number of groupings, scales and variants with a tested cell, each of which is a family of its own."""
        tested = (row for row in self.verdicts if row.main and not math.isnan(row.p))
        return len({(row.variant, row.scale, row.grouping) for row in tested})

    @cached_property
    def runs_done(self) -> int:
        """Number of finished runs."""
        return sum(run.state == "done" for run in self.collection.runs)

    def list_runs(self, variant: str, scale: Scale, grouping: str) -> list[CollectedRun]:
        """Return the runs of a grouping at a scale for all seeds, finished or not.

        Args:
            variant: Name of the variant.
            scale: Amount of training data.
            grouping: Name of the grouping.
        """
        return [
            run
            for run in self.collection.runs
            if (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings
        ]

    def count_models(self, grouping: str) -> int:
        """Return the number of blocks of a grouping, which is the number of models that serve all tasks."""
        return len({run.row.tasks for run in self.collection.runs if grouping in run.row.groupings})

    def get_main_verdicts(self, variant: str, scale: Scale) -> list[CellVerdict]:
        """Return the verdicts on the main metrics at a scale."""
        return [row for row in self.verdicts if row.main and (row.variant, row.scale) == (variant, scale)]

    def get_main_cells(self, variant: str, scale: Scale) -> list[CellScore]:
        """Return the cells' scores on the main metrics at a scale."""
        return [row for row in self.cells if row.main and (row.variant, row.scale) == (variant, scale)]

    def get_summary(self, variant: str, scale: Scale) -> list[SummaryLine]:
        """Return the summary of all groupings at a scale."""
        return [line for line in self.summary if (line.variant, line.scale) == (variant, scale)]


def compare_study(collection: Collection, main_only: bool = False) -> StudyComparison:
    """Compare all groupings of a study with its reference.

    Args:
        collection: Finished and planned runs of the study.
        main_only: Compare only the main metric of each task, which is faster.
    """
    study, pseudovalues = collection.study, CellPseudovalues(collection)
    # 1. Observations: one row per run, task, grouping and metric.
    observations = observe(collection)
    if main_only:
        observations = tuple(row for row in observations if row.main)
    # 2. Pairs: each observation with the reference's value of the same seed.
    pairs = pair_with_reference(observations, study.reference)
    # 3. Cells: mean score over seeds, with its interval.
    cells = score_cells(observations, pseudovalues, study.confidence)
    # 4. Validity: runs that collapsed, failed to converge or diverged.
    convergence = read_validity(collection, study.convergence_margin)
    collapsed = find_collapsed_seeds(pairs, convergence, find_weak_cells(cells))
    # 5. Differences: the estimate of each cell that has pairs; then every cell with its difference, missing or not.
    has_collapsed = {key for key, seeds in collapsed.items() if seeds.has_any}
    differences = estimate_differences(pairs, pseudovalues, study.relative_margin, has_collapsed)
    compared = compare_cells(pairs, differences, study.confidence)
    # 6. Verdicts: tests of the main metrics, with notes on validity and missing evidence.
    verdicts = judge_cells(compared, differences, cells, pairs, convergence, collapsed, pseudovalues, study)
    return StudyComparison(collection, observations, convergence, pseudovalues, cells, differences, verdicts)
