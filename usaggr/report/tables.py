"""The tables that figures and text of a report are made of, each computed once, when it is first asked for."""

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
    """The comparison of a study, and the tables that topics of the report make of it."""

    comparison: StudyComparison
    """Cells, differences and verdicts, on which all others rest."""
    made: dict[Callable[[StudyComparison], Any], Any] = field(default_factory=dict, repr=False)
    """By the function that has made it."""

    def of(self, make: Callable[[StudyComparison], TableT]) -> TableT:
        """Return what a topic's function makes of the comparison; it is called once."""
        if make not in self.made:
            self.made[make] = make(self.comparison)
        return cast(TableT, self.made[make])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row for each run, task, grouping and metric, those of controls last; columns SCORE_COLUMNS."""
        columns, collection = list(SCORE_COLUMNS), self.comparison.collection
        if collection.controls is None:
            return self.comparison.observations[columns]
        drawn = observe(collection.controls)
        drawn = drawn.loc[drawn["grouping"].isin(collection.study.controls), columns]
        return pd.concat([self.comparison.observations[columns], drawn])


def make_tables(collection: Collection) -> Tables:
    """Compare the study of these runs, and return what the tables of its report are made of."""
    return Tables(compare_study(collection))
