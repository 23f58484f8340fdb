"""Joint tables of seeds x components, for linear combinations of the scores of several tasks or scales.

Tasks are fixed effects. The cases are components of the test sets: samples connected by image or subject, across tasks.
A component's effects on several tasks, and a seed's effects on all of them, stay in one row and one column. The two-way
analysis of the joint table (two_way_anova.py) therefore includes their covariances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeightedTable:
    """A task's table and its weight in a linear combination."""

    values: Array
    """(K seeds, C components) pseudo-values; the same seeds in the same order in all tables."""
    components: NDArray[np.int64]
    """(C,) distinct ids of the components, comparable between tables."""
    weight: float


def make_joint_table(tables: Sequence[WeightedTable]) -> Array:
    """Return the (K, C) table over all components whose mean over components is the combination, for each seed.

    Each component starts at the weighted sum of the tables' means. Its deviations in the tables that contain it are
    added, scaled so that variances add up: the variance between components of the joint mean is the sum of the tables'
    variances, plus covariances where tables share components.

    Raises:
        ValueError: there is no table, or tables have different numbers of seeds.
    """
    if not tables or len({table.values.shape[0] for table in tables}) > 1:
        raise ValueError("need at least one table, and the same seeds in all tables")
    all_components = np.unique(np.concatenate([table.components for table in tables]))
    total = all_components.size
    joint = np.zeros((tables[0].values.shape[0], total))
    for table in tables:
        count = table.components.size
        means = table.values.mean(axis=1, keepdims=True)
        joint += table.weight * means
        if count > 1 and total > 1:
            # The variance of a table's mean has the divisor count (count - 1), that of the joint table another one.
            scale = np.sqrt(total * (total - 1) / (count * (count - 1)))
            columns = np.searchsorted(all_components, table.components)
            joint[:, columns] += table.weight * scale * (table.values - means)
    return joint
