"""Allowed tasks, and properties that follow from the type of a task."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from usaggr.data.read.index import format_task_type, list_label_columns
from usaggr.tasks import (
    CATALOGUE,
    TASK_TYPES,
    Task,
    TaskType,
    get_least_classes,
    get_most_classes,
    has_class_label,
    has_mask_label,
    make_default_class_names,
)


def with_classes(task_type: TaskType, number: int) -> Task:
    return Task("t", task_type, number, "heart", "chest", make_default_class_names(task_type, number))


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_a_task_has_at_least_and_at_most_the_classes_that_its_type_allows(task_type: TaskType) -> None:
    least, most = get_least_classes(task_type), get_most_classes(task_type)
    for number in (least, most or 300):
        assert with_classes(task_type, number).num_classes == number
    for number in (least - 1, *([most + 1] if most else [])):
        with pytest.raises(ValueError, match=f"a {task_type} task cannot have {number} classes"):
            with_classes(task_type, number)


def test_an_unknown_type_and_a_missing_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"type must be one of segmentation, .*; got 'ranking'"):
        replace(CATALOGUE["lung"], type="ranking")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 names for 2 classes"):
        replace(CATALOGUE["lung"], class_names=("lesion",))


def test_the_columns_of_a_label_are_those_of_the_challenge() -> None:
    assert {task_type: list_label_columns(task_type, 2) for task_type in TASK_TYPES} == {
        "segmentation": ("mask_path",),
        "classification": ("mask",),
        "detection": ("x_min", "y_min", "x_max", "y_max"),
        "regression": ("point_1_xy", "point_2_xy"),
    }
    assert [task_type for task_type in TASK_TYPES if has_mask_label(task_type)] == ["segmentation"]
    assert [task_type for task_type in TASK_TYPES if has_class_label(task_type)] == ["classification"]


def test_a_type_is_written_as_in_the_challenge() -> None:
    assert [format_task_type(t) for t in TASK_TYPES] == ["segmentation", "classification", "detection", "Regression"]


PACKAGE = Path(__file__).parent.parent / "usaggr"
COMPARED = {
    "data/read/index.py",  # the challenge's spelling of one type
    "report/claims/tables.py",  # a claim of the paper about segmentation and other types
}
"""Files that compare a type with a name, with the reasons why a new type needs no decision there."""


def type_names(node: ast.AST) -> set[str]:
    return {str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value in TASK_TYPES}


def test_types_are_distinguished_by_matches_that_mypy_checks_for_completeness() -> None:
    open_matches, compared, complete = [], set(), 0
    for path in sorted(PACKAGE.rglob("*.py")):
        name, source = str(path.relative_to(PACKAGE)), path.read_text()
        if not any(f'"{task_type}"' in source for task_type in TASK_TYPES):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Match) and any(type_names(case.pattern) for case in node.cases):
                if ast.unparse(node.cases[-1]).startswith("case _:\n    assert_never("):
                    complete += 1
                else:
                    open_matches.append(f"{name}, line {node.lineno}")
            elif isinstance(node, ast.Compare) and type_names(node):
                compared.add(name)
    assert open_matches == []
    assert compared == COMPARED
    assert complete > 20
