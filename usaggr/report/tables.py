"""Tables behind the figures and text of a report, each computed once, at its first use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import pandas as pd

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.observations import SCORE_COLUMNS, observe

TableT = TypeVar("TableT")


@dataclass(frozen=True)
class Tables:
    """Comparison of a study, and the tables that topics of the report make from it."""

    comparison: StudyComparison
    """Cells, differences and verdicts, from which all other tables are made."""
    made: dict[Callable[[StudyComparison], Any], Any] = field(default_factory=dict, repr=False)
    """Tables by the function that made them."""

    def compute(self, make: Callable[[StudyComparison], TableT]) -> TableT:
        """Return the result of a topic's function for the comparison; the function is called once."""
        if make not in self.made:
            self.made[make] = make(self.comparison)
        return cast(TableT, self.made[make])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per run, task, grouping and metric, with columns SCORE_COLUMNS; random groupings come last."""
        columns, collection = list(SCORE_COLUMNS), self.comparison.collection
        if collection.controls is None:
            return self.comparison.observations[columns]
        controls = observe(collection.controls)
        controls = controls.loc[controls["grouping"].isin(collection.study.controls), columns]
        return pd.concat([self.comparison.observations[columns], controls])


def make_tables(collection: Collection) -> Tables:
    """Compare the study of these runs, and return the tables of its report."""
    return Tables(compare_study(collection))
