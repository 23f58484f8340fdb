"""Tables behind the figures and text of a report, each computed once, at its first use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import pandas as pd

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.observations import SCORE_COLUMNS, Observation, observe
from usaggr.analysis.row_tables import make_table

TableT = TypeVar("TableT")


@dataclass(frozen=True)
class Tables:
    """Comparison of a study, and the tables that topics of the report make from it."""

    comparison: StudyComparison
    """Cells, differences and verdicts, from which all other tables are made."""
    results: dict[Callable[[StudyComparison], Any], Any] = field(default_factory=dict, repr=False)
    """Results of the functions that `compute` has called."""

    def compute(self, make: Callable[[StudyComparison], TableT]) -> TableT:
        """Return the result of a topic's function for the comparison, which is computed at the first request."""
        if make not in self.results:
            self.results[make] = make(self.comparison)
        return cast(TableT, self.results[make])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Table with a row per run, task, grouping and metric, columns SCORE_COLUMNS; random groupings come last."""
        observations, collection = list(self.comparison.observations), self.comparison.collection
        if collection.controls is not None:
            observations += [row for row in observe(collection.controls) if row.grouping in collection.study.controls]
        return make_table(Observation, observations, SCORE_COLUMNS)


def make_tables(collection: Collection) -> Tables:
    """Compare the study of these runs, and return the tables of its report."""
    return Tables(compare_study(collection))
