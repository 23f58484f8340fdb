"""Joining of folders of results of the same study and split, such as from several machines; others are refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from usaggr.config.section import FINGERPRINTED, list_neutral_values, walk_leaf_keys
from usaggr.config.study import StudyConfig
from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.data_description import DataFacts
from usaggr.results.plan import PlanRow
from usaggr.results.stored_study import Source, StudyFacts, merge_names

Cell = tuple[str, str, float | int, int, str]
"""Grouping, variant, scale, seed and task."""


def join_sources(sources: Sequence[Source]) -> tuple[StudyFacts, DataFacts, tuple[PlanRow, ...]]:
    """Return the union of the folders' studies, their data, and their distinct runs.

    Seeds, scales, groupings and variants may differ between folders. Other settings that determine a run's numbers must
    be equal.

    Raises:
        RunError: two folders differ; the message says in what.
    """
    if not sources:
        raise RunError("no folder of results was given")
    # Every pair: the second and third folder may both have a variant that the first does not have.
    for first, second in combinations(sources, 2):
        _check_same(first, second)
    studies = [source.study for source in sources]
    study = replace(
        studies[0],
        groupings=merge_names([study.groupings for study in studies]),
        scales=tuple(sorted({scale for study in studies for scale in study.scales})),
        seeds=tuple(sorted({seed for study in studies for seed in study.seeds})),
        variants={name: overrides for study in studies for name, overrides in study.variants.items()},
        controls={name: like for study in studies for name, like in study.controls.items()},
        staged={name: stages for study in studies for name, stages in study.staged.items()},
    )
    return study, sources[0].data, _join_plans(sources, study)


def _check_same(first: Source, second: Source) -> None:
    """Check that two folders are of one study and split.

    Raises:
        RunError: they are not.
    """
    folders = f"{first.directory} and {second.directory}"
    hint = "only folders of one study and split can be joined"
    for name, difference in (("content_hash", "data sets"), ("split_hash", "splits")):
        hashes = getattr(first.data, name), getattr(second.data, name)
        if hashes[0] != hashes[1]:
            short = f"{hashes[0][:8]} and {hashes[1][:8]}"
            raise RunError(f"{folders} hold results of different {difference} ({name} {short}); {hint}")
    if first.study.reference != second.study.reference:
        references = f"{first.study.reference} and {second.study.reference}"
        raise RunError(f"{folders} compare with different references ({references}); {hint}")
    # An integer is a cap of samples, a float a fraction of them; the two have no common order.
    if len({isinstance(scale, int) for source in (first, second) for scale in source.study.scales}) > 1:
        raise RunError(f"{folders} have scales of two kinds, fractions and numbers of samples; {hint}")
    first_settings, second_settings = _list_result_settings(first.study), _list_result_settings(second.study)
    all_keys = first_settings.keys() | second_settings.keys()
    _check_equal_values(folders, all_keys, first_settings, second_settings)
    # Each folder may have variants and groupings that the other does not have.
    first_definitions, second_definitions = _list_definitions(first.study), _list_definitions(second.study)
    shared_names = first_definitions.keys() & second_definitions.keys()
    _check_equal_values(folders, shared_names, first_definitions, second_definitions)


def _check_equal_values(folders: str, keys: Iterable[str], first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Check that two folders have the same values.

    Args:
        folders: both folders, for the message.
        keys: keys to compare.
        first: values of the first folder; a missing key counts as None.
        second: values of the second folder, likewise.

    Raises:
        RunError: a value differs.
    """
    for key in sorted(keys):
        a, b = first.get(key), second.get(key)
        if a != b:
            raise RunError(f"{folders} are of different studies: {key} is {a!r} in the first, {b!r} in the second")


def _list_definitions(study: StudyFacts) -> dict[str, Any]:
    """Return the definitions of variants, random groupings and staged groupings, by kind and name."""
    definitions: dict[str, Any] = {f"variants.{name}": list(value) for name, value in study.variants.items()}
    definitions |= {f"groupings.{name}.like": like for name, like in study.controls.items()}
    for name, stages in study.staged.items():
        for key, value in vars(stages).items():
            definitions[f"groupings.{name}.{key}"] = value
    return definitions


def _list_result_settings(study: StudyFacts) -> dict[str, Any]:
    """Return the values that determine a run's numbers, by dotted key, including all unknown keys.

    A study of a version without a key equals a study with the key's neutral value.
    """
    ignored = {key for key, affects in walk_leaf_keys(StudyConfig, "") if affects is False}
    neutral = list_neutral_values(StudyConfig, "")
    return {
        key: value
        for name in FINGERPRINTED
        for key, value in _walk_leaves(study.settings.get(name), name)
        if key not in ignored and (key not in neutral or value != neutral[key])
    }


def _walk_leaves(content: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(content, dict):
        return [(prefix, content)]
    return [leaf for name, value in content.items() for leaf in _walk_leaves(value, f"{prefix}.{name}")]


def _join_plans(sources: Sequence[Source], study: StudyFacts) -> tuple[PlanRow, ...]:
    """Return the distinct runs by fingerprint, each with the groupings of all folders that plan it.

    Raises:
        RunError: folders differ in the tasks that share a model, or in a run.
    """
    joined: dict[str, PlanRow] = {}
    cells: dict[Cell, tuple[PlanRow, Path]] = {}
    for source in sources:
        # A run_id ends in the first 8 digits of its fingerprint.
        parents = {row.parent[-8:] for row in source.plan if row.parent}
        for row in source.plan:
            _check_row(row, source, study, row.fingerprint[:8] in parents)
            earlier = joined.get(row.fingerprint)
            groupings = set(row.groupings) | set(earlier.groupings if earlier else ())
            ordered = tuple(name for name in (*study.groupings, *study.controls) if name in groupings)
            joined[row.fingerprint] = replace(earlier or row, groupings=ordered)
            for grouping in row.groupings:
                for task in row.tasks:
                    cell = (grouping, row.variant, row.scale, row.seed, task)
                    other, folder = cells.setdefault(cell, (row, source.directory))
                    if other.fingerprint != row.fingerprint:
                        raise _make_conflict_error(cell, (other, folder), (row, source.directory))
    _check_partitions(cells)
    return tuple(joined.values())


def _check_row(row: PlanRow, source: Source, study: StudyFacts, is_parent: bool) -> None:
    """Check that a row of plan.csv fits data.json and study.yaml.

    Args:
        row: the row.
        source: folder of the row.
        study: the joined study.
        is_parent: True if another run starts from this one. Such a run may have no grouping.

    Raises:
        RunError: the row has an unknown task, grouping or variant.
    """
    path = source.directory / contract.PLAN
    unknown = [task for task in row.tasks if task not in source.data.tasks]
    if unknown or not row.tasks:
        raise RunError(f"{path}: {row.run_id} has tasks that are not in data.json: {', '.join(unknown) or 'none'}")
    unknown_groupings = [name for name in row.groupings if name not in study.groupings and name not in study.controls]
    if unknown_groupings or not (row.groupings or is_parent) or row.variant not in study.variants:
        raise RunError(
            f"{path}: {row.run_id} has a grouping or variant that is not in study.yaml "
            f"({', '.join([*row.groupings, row.variant])}); `usaggr sweep` of the same study writes both files again"
        )


def _check_partitions(cells: dict[Cell, tuple[PlanRow, Path]]) -> None:
    """Check that a grouping is the same partition in all folders, also if these hold different seeds or scales.

    Raises:
        RunError: it is not.
    """
    blocks: dict[tuple[str, str], tuple[PlanRow, Path]] = {}
    for cell, (row, folder) in cells.items():
        other, other_folder = blocks.setdefault((cell[0], cell[4]), (row, folder))
        if other.tasks != row.tasks and other_folder != folder:
            raise _make_conflict_error(cell, (other, other_folder), (row, folder))


def _make_conflict_error(cell: Cell, first: tuple[PlanRow, Path], second: tuple[PlanRow, Path]) -> RunError:
    """Return the error about two folders that differ in a cell.

    Args:
        cell: the cell.
        first: run of the cell in one folder, and the folder.
        second: run of the cell in another folder, and the folder.
    """
    grouping, variant, scale, seed, task = cell
    if first[0].tasks != second[0].tasks:
        shares = " and ".join(f"{', '.join(row.tasks)} in {folder}" for row, folder in (first, second))
        return RunError(
            f"grouping {grouping}: the model of {task} has the tasks {shares}; folders must agree to be joined"
        )
    runs = " and ".join(f"{row.run_id} in {folder}" for row, folder in (first, second))
    return RunError(
        f"grouping {grouping}, variant {variant}, scale {scale:g}, seed {seed}: the run of {task} is {runs}; "
        "folders must agree to be joined"
    )
