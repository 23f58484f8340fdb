"""Joins folders of results of the same study and split, such as of several machines, and refuses others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from usaggr.config.section import FINGERPRINTED, leaf_keys, neutral_values
from usaggr.config.study import StudyConfig
from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.data_description import DataFacts
from usaggr.results.plan import PlanRow
from usaggr.results.stored_study import Source, StudyFacts, merge_names

Cell = tuple[str, str, float | int, int, str]
"""grouping, variant, scale, seed, task"""


def join_sources(sources: Sequence[Source]) -> tuple[StudyFacts, DataFacts, tuple[PlanRow, ...]]:
    """One study that asks for all that any of the folders asks for, its data, and its distinct runs.

    Seeds, scales, groupings and variants may differ between folders; whatever else decides a run's numbers may not.

    Raises:
        RunError: which two folders differ, and in what.
    """
    if not sources:
        raise RunError("no folder of results was given")
    first, *others = sources
    for other in others:
        _check_same(first, other)
    studies = [source.study for source in sources]
    variants: dict[str, tuple[str, ...]] = {}
    for other_study in studies:
        for name, overrides in other_study.variants.items():
            variants.setdefault(name, overrides)
    study = replace(
        first.study,
        groupings=merge_names([study.groupings for study in studies]),
        scales=tuple(sorted({scale for study in studies for scale in study.scales})),
        seeds=tuple(sorted({seed for study in studies for seed in study.seeds})),
        variants=variants,
        controls={name: like for study in studies for name, like in study.controls.items()},
        staged={name: staging for study in studies for name, staging in study.staged.items()},
    )
    return study, first.data, _join_plans(sources, study)


def _check_same(first: Source, other: Source) -> None:
    where = f"{first.directory} and {other.directory}"
    hint = "only folders of one study and split can be joined"
    for name, what in (("content_hash", "data sets"), ("split_hash", "splits")):
        one, two = getattr(first.data, name), getattr(other.data, name)
        if one != two:
            raise RunError(f"{where} hold results of different {what} ({name} {one[:8]} and {two[:8]}); {hint}")
    if first.study.reference != other.study.reference:
        references = f"{first.study.reference} and {other.study.reference}"
        raise RunError(f"{where} compare with different references ({references}); {hint}")
    if len({isinstance(scale, int) for source in (first, other) for scale in source.study.scales}) > 1:
        raise RunError(f"{where} have scales of two kinds, fractions and numbers of samples; {hint}")
    ones, twos = _settings(first.study), _settings(other.study)
    for key in sorted(ones.keys() | twos.keys()):
        one, two = ones.get(key), twos.get(key)
        if one != two:
            raise RunError(f"{where} are of different studies: {key} is {one!r} in the first, {two!r} in the second")
    for name in first.study.variants.keys() & other.study.variants.keys():
        one, two = list(first.study.variants[name]), list(other.study.variants[name])
        if one != two:
            raise RunError(
                f"{where} are of different studies: variants.{name} is {one} in the first, {two} in the second"
            )


def _settings(study: StudyFacts) -> dict[str, Any]:
    """Dotted key: value, of what decides a run's numbers. A key that this tool does not know is taken for one.

    Studies of versions that did not have a key are as those of its neutral value.
    """
    ignored = {key for key, affects in leaf_keys(StudyConfig, "") if affects is False}
    neutral = neutral_values(StudyConfig, "")
    return {
        key: value
        for name in FINGERPRINTED
        for key, value in _leaves(study.settings.get(name), name)
        if key not in ignored and (key not in neutral or value != neutral[key])
    }


def _leaves(content: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(content, dict):
        return [(prefix, content)]
    return [leaf for name, value in content.items() for leaf in _leaves(value, f"{prefix}.{name}")]


def _join_plans(sources: Sequence[Source], study: StudyFacts) -> tuple[PlanRow, ...]:
    """Distinct runs by fingerprint, each with the groupings of all folders that plan it.

    Raises:
        RunError: folders differ on which tasks share a model, or on what a run is.
    """
    rows: dict[str, PlanRow] = {}
    cells: dict[Cell, tuple[PlanRow, Path]] = {}
    for source in sources:
        parents = {row.parent[-8:] for row in source.plan if row.parent}
        for row in source.plan:
            _check_row(row, source, study, row.fingerprint[:8] in parents)
            known = rows.get(row.fingerprint)
            groupings = set(row.groupings) | set(known.groupings if known else ())
            ordered = tuple(name for name in (*study.groupings, *study.controls) if name in groupings)
            rows[row.fingerprint] = replace(known or row, groupings=ordered)
            for grouping in row.groupings:
                for task in row.tasks:
                    cell = (grouping, row.variant, row.scale, row.seed, task)
                    other, folder = cells.setdefault(cell, (row, source.directory))
                    if other.fingerprint != row.fingerprint:
                        raise _conflict(cell, (other, folder), (row, source.directory))
    _check_partitions(cells)
    return tuple(rows.values())


def _check_row(row: PlanRow, source: Source, study: StudyFacts, is_parent: bool) -> None:
    path = source.directory / contract.PLAN
    unknown = [task for task in row.tasks if task not in source.data.tasks]
    if unknown or not row.tasks:
        raise RunError(f"{path}: {row.run_id} has tasks that data.json does not know: {', '.join(unknown) or 'none'}")
    strange = [name for name in row.groupings if name not in study.groupings and name not in study.controls]
    if strange or not (row.groupings or is_parent) or row.variant not in study.variants:
        raise RunError(
            f"{path}: {row.run_id} is of a grouping or variant that study.yaml does not have "
            f"({', '.join([*row.groupings, row.variant])}); `usaggr sweep` of the same study writes both anew"
        )


def _check_partitions(cells: dict[Cell, tuple[PlanRow, Path]]) -> None:
    """Where folders hold different seeds or scales, a grouping must still be the same partition in all of them."""
    blocks: dict[tuple[str, str], tuple[PlanRow, Path]] = {}
    for cell, (row, folder) in cells.items():
        other, where = blocks.setdefault((cell[0], cell[4]), (row, folder))
        if other.tasks != row.tasks and where != folder:
            raise _conflict(cell, (other, where), (row, folder))


def _conflict(cell: Cell, one: tuple[PlanRow, Path], two: tuple[PlanRow, Path]) -> RunError:
    grouping, variant, scale, seed, task = cell
    if one[0].tasks != two[0].tasks:
        shares = " and ".join(f"{', '.join(row.tasks)} in {folder}" for row, folder in (one, two))
        return RunError(
            f"grouping {grouping}: the model of {task} has the tasks {shares}; folders must agree to be joined"
        )
    runs = " and ".join(f"{row.run_id} in {folder}" for row, folder in (one, two))
    return RunError(
        f"grouping {grouping}, variant {variant}, scale {scale:g}, seed {seed}: the run of {task} is {runs}; "
        "folders must agree to be joined"
    )
