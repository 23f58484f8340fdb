"""Tests of topics: only the list of topics imports a topic's folder, and a report is complete without it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from usaggr import report
from usaggr.document.elements import Document
from usaggr.report import contents
from usaggr.report.contents import write_report
from usaggr.report.material import Material
from usaggr.report.topic import Topic
from usaggr.report.topics import TOPICS

HOME = Path(report.__file__).parent
FOLDERS = {path.parent.name for path in HOME.glob("*/topic.py")}
SHARED = {
    ("contents", "answer"), ("answer", "what_was_run"), ("claims", "scale"), ("scale", "claims"),
    ("contents", "tasks"), ("build", "tasks"), ("material", "tasks"),
}  # fmt: skip
"""Folder or module, and the topic that it imports from: the lead of the report, the sizes of groups, the warning of
unequal exposure, and pictures of samples, which need the data set."""


def folder_of(topic: Topic) -> str:
    return topic.chapter.__module__.split(".")[2]


def imports() -> Iterator[tuple[str, str]]:
    """Yield the folder or module of the report that imports, and the folder that it imports from."""
    for path in HOME.rglob("*.py"):
        place = path.relative_to(HOME).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("usaggr.report."):
                yield place, node.module.split(".")[2]


def test_every_folder_of_a_topic_is_in_the_list_once() -> None:
    assert sorted(map(folder_of, TOPICS)) == sorted(FOLDERS)


def test_a_topic_is_imported_by_its_own_folder_and_the_list_of_topics_alone() -> None:
    foreign = {(who, topic) for who, topic in imports() if topic in FOLDERS and who not in (topic, "topics")}
    assert foreign <= SHARED


@pytest.mark.parametrize("left_out", TOPICS, ids=folder_of)
def test_a_report_without_one_topic_has_the_chapters_of_all_others(
    left_out: Topic, usual: Material, usual_report: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter = left_out.chapter(usual)
    expected = [section for section in usual_report.sections[:-1] if chapter is None or section.title != chapter.title]
    monkeypatch.setattr(contents, "TOPICS", tuple(topic for topic in TOPICS if topic is not left_out))
    assert list(write_report(usual.tables).sections[:-1]) == expected
