"""Mean differences from the reference over the tasks of a type or of a clinical group, and the spread of the latter."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.weighted_sums import UNITS, UNKNOWN, Compared, Found, Unit, cells_in, mean_of
from usaggr.report.scale.slopes import group_sizes
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_spread import Spread, spread

SENSITIVITY_COLUMNS = (
    "grouping", "scale", "variant", "task_type", "tasks", "delta_skill", "low", "high", "relative", "relative_low",
    "relative_high", "seeds",
)  # fmt: skip
CONSISTENCY_COLUMNS = (
    "grouping", "scale", "variant", "clinical_group", "tasks", "n_train", "delta", "low", "high", "delta_skill",
    "skill_low", "skill_high", "seeds",
)  # fmt: skip
SPREAD_COLUMNS = (
    "grouping", "scale", "variant", "groups", "left_out", "spread", "low", "high", "spread_skill", "skill_low",
    "skill_high", "seeds",
)  # fmt: skip
_SETTING = ["variant", "scale", "grouping"]
Key = tuple[Any, ...]


def sensitivity(compared: Compared) -> pd.DataFrame:
    """Mean difference of each task type; columns SENSITIVITY_COLUMNS (delta_skill with low and high, relative)."""
    skill, relative = (_means(compared, "task_type", unit) for unit in UNITS)
    rows = [
        {
            **_named(key, "task_type"), "tasks": tasks, "seeds": found.seeds,
            **_bounds(found.mean, "delta_skill", "low", "high"),
            **_bounds(_mean(relative, key), "relative", "relative_low", "relative_high"),
        }
        for key, (found, tasks) in skill.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(SENSITIVITY_COLUMNS))


def consistency(compared: Compared) -> pd.DataFrame:
    """Mean difference of each clinical group; columns CONSISTENCY_COLUMNS (delta is relative).

    n_train is that of all tasks of the group, compared or not.
    """
    skill, relative = (_means(compared, "clinical_group", unit) for unit in UNITS)
    sizes = {scale: group_sizes(compared.planned, scale) for scale in compared.planned["scale"].unique()}
    rows = [
        {
            **_named(key, "clinical_group"), "tasks": tasks, "seeds": found.seeds,
            "n_train": sizes[key[1]].get(key[3], np.nan),
            **_bounds(_mean(relative, key), "delta", "low", "high"),
            **_bounds(found.mean, "delta_skill", "skill_low", "skill_high"),
        }
        for key, (found, tasks) in skill.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CONSISTENCY_COLUMNS))


def spreads(compared: Compared) -> pd.DataFrame:
    """Spread over clinical groups of their true mean differences; columns SPREAD_COLUMNS (spread is of the relative).

    Under two groups that are compared there is no row.
    """
    rows = []
    planned = compared.planned.groupby(_SETTING, sort=False)
    groups = {_tuple(setting): rows["clinical_group"].nunique() for setting, rows in planned}
    for setting, cells in compared.of("skill").groupby(_SETTING, sort=False):
        if cells["clinical_group"].nunique() < 2:
            continue
        found = {unit: group_spread(compared, cells, unit) for unit in UNITS}
        skill, relative = (found[unit][0] for unit in UNITS)
        rows.append({
            **_named((*_tuple(setting), ""), "clinical_group"), "groups": skill.groups,
            "left_out": groups[_tuple(setting)] - skill.groups, "seeds": found["skill"][1],
            "spread": relative.value, "low": relative.low, "high": relative.high,
            "spread_skill": skill.value, "skill_low": skill.low, "skill_high": skill.high,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(SPREAD_COLUMNS))


def group_spread(compared: Compared, cells: pd.DataFrame, unit: Unit) -> tuple[Spread, int]:
    """Spread over the clinical groups of cells of one setting, and how many seeds it rests on."""
    known = cells[cells["relative"].notna()] if unit == "relative" else cells
    sums = [mean_of(cells_in(rows)) for _, rows in known.groupby("clinical_group")]
    joint = compared.sums.of_differences(sums, unit) if len(sums) > 1 else None
    if joint is None:
        return Spread(len(sums), np.nan, np.nan, np.nan), 0
    values = np.stack([group.table for group in joint])
    return spread(values, compared.confidence), len(joint[0].seeds)


def _means(compared: Compared, by: str, unit: Unit) -> dict[Key, tuple[Found, int]]:
    """Mean difference and number of tasks, by variant, scale, grouping and a column."""
    groups = {_tuple(key): cells_in(rows) for key, rows in compared.of(unit).groupby([*_SETTING, by], sort=False)}
    found: dict[Key, tuple[Found, int]] = {}
    for variant, name in dict.fromkeys((key[0], key[3]) for key in groups):
        alike = {key[1:3]: mean_of(cells) for key, cells in groups.items() if (key[0], key[3]) == (variant, name)}
        for setting, mean in compared.estimate(alike, unit).items():
            key = (variant, *setting, name)
            found[key] = mean, len(groups[key])
    return {key: found[key] for key in groups}


def _mean(found: dict[Key, tuple[Found, int]], key: Key) -> Quantity:
    return found[key][0].mean if key in found else UNKNOWN


def _tuple(key: Hashable) -> Key:
    return key if isinstance(key, tuple) else (key,)


def _named(key: Key, by: str) -> dict[str, Any]:
    return dict(zip([*_SETTING, by], key, strict=True))


def _bounds(found: Quantity, value: str, low: str, high: str) -> dict[str, float]:
    return {value: found.value, low: found.low, high: found.high}
