"""The report and the advice of every shipped study have no word that readers did not understand."""

import csv
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest

from benchmarks.readability.vague_words import VAGUE_DOCSTRING_WORDS, find_banned_words
from tests.report.shipped_studies import write_study
from usaggr.advice.advice_files import write_advice
from usaggr.advice.advise import advise
from usaggr.advice.evidence import find_sweeps, read_sweep
from usaggr.advice.new_data import NewData
from usaggr.advice.sharing_modes import NewTask
from usaggr.progress import NoProgress
from usaggr.report.build import build_report
from usaggr.tasks import CATALOGUE

STUDIES = sorted(path.stem for path in (Path(__file__).parents[2] / "sweeps").glob("*.yaml"))
TEXT_FILES = {".md", ".csv", ".tex", ".json"}
NEW_TASKS = ("thyroid_nodule", "carotid_artery", "thyroid_nodule_det", "fetal_plane_cls", "FUGC")
"""Tasks of another data set, of all four types: some of a clinical group that the studies here have, some of others."""


class _VisibleText(HTMLParser):
    """Text of a page that a reader sees, including alternative texts and titles; without styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script")
        self.pieces += [value for name, value in attrs if name in ("alt", "title", "aria-label") and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def read_texts(folder: Path) -> dict[str, str]:
    """Return the text of each file below a folder that people read."""
    texts = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".html", *TEXT_FILES}
    }
    return {
        name: "\n".join(_VisibleText(text).pieces) if name.endswith(".html") else text for name, text in texts.items()
    }


def findings(texts: dict[str, str]) -> list[str]:
    return [
        f"{name}: {text.splitlines()[word.line - 1]}"
        for name, text in texts.items()
        for word in find_banned_words(text)
    ]


@pytest.mark.parametrize("study", STUDIES)
def test_no_file_of_a_studys_report_or_advice_has_a_banned_word(study: str, tmp_path: Path, undrawn: None) -> None:
    sweep = write_study(study, tmp_path)
    report = read_texts(build_report([sweep.directory]))
    assert {"index.html", "report.md", "tables/comparison.csv"} <= report.keys()
    assert len(report["index.html"]) > 10_000, "the page is nearly empty"
    verdicts = {row["verdict"] for row in csv.DictReader(StringIO(report["tables/comparison.csv"]))}
    assert {"gain", "loss", "no_loss"} <= verdicts, "sentences about some verdicts are not in the report"
    assert findings(report) == []

    tasks = tuple(NewTask(CATALOGUE[task], 100) for task in NEW_TASKS)
    evidence = [read_sweep(folder, NoProgress()) for folder in find_sweeps([sweep.directory])]
    write_advice(advise(NewData("clinic", "/data/clinic", tasks, "", ()), evidence), tmp_path / "advice")
    advice = read_texts(tmp_path / "advice")
    assert len(advice) == 3
    assert findings(advice) == []


def test_banned_words_are_found_in_every_kind_of_file(tmp_path: Path) -> None:
    word, *_ = VAGUE_DOCSTRING_WORDS  # taken from the list, because this file must not contain them either
    (tmp_path / "tables").mkdir()
    page = f'<style>{word}</style><img alt="drawn {word}"><p>Nothing is <b>{word}</b>.</p>'
    (tmp_path / "index.html").write_text(page)
    names = ("advice.json", "report.md", "tables/notes.csv", "tables/notes.tex")
    for name in names:
        (tmp_path / name).write_text(f"trained {word}\n")
    expected = [f"index.html: drawn {word}", f"index.html: {word}", *(f"{name}: trained {word}" for name in names)]
    assert sorted(findings(read_texts(tmp_path))) == sorted(expected)
