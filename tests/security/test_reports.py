"""A report of results whose names and messages are attacks: they stay plain text in every file."""

import html
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.document.test_html import Reader
from tests.document.test_latex import is_balanced
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.errors import RunError
from usaggr.report.build import build_report
from usaggr.results.stored_study import read_source
from usaggr.tasks import Task

TEXT = (
    "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
    "\\input{/etc/passwd}\\write18{id} $\\frac{$ %#&_^~ | `a` *b* [c](javascript:alert(1)) ![d](http://e/f.png) "
    "\"' {{ 7 * 7 }} {% raw %}"
)
NAME = TEXT.replace("/", "-").replace("\\", "!")
"""The attack without characters that a file name cannot contain."""


def hostile_tasks() -> dict[str, Task]:
    tasks = {}
    for task_id in ("breast_lesion", "breast_2cls", "fetal_femur"):
        old = CATALOGUE[task_id]
        names = tuple(f"{TEXT}{i}" for i in range(len(old.class_names)))
        task = replace(old, id=f"{task_id} &%~^_!", organ=TEXT, clinical_group=TEXT, class_names=names)
        tasks[task.id] = task
    return tasks


def hostile_sweep(folder: Path) -> FakeSweep:
    tasks = hostile_tasks()
    formats = {"report": {"confidence": 0.95, "formats": ["png", "svg"]}}
    groupings = ("task_specific", NAME[:40], NAME[40:90])
    sweep = FakeSweep(
        folder / "study<b>&", tuple(tasks), groupings=groupings, catalogue=tasks, seeds=(0, 1), spread=0.05,
        settings=formats, data={"warnings": [TEXT], "root": TEXT, "skipped": [TEXT]},
    )  # fmt: skip
    sweep.write_plan()
    for number, (run, _) in enumerate(sweep.runs()):
        if number == 0:
            sweep.write_failure(run, f"RunError: {TEXT}\ntraceback")
        else:
            scores = {task: level(tasks[task], 0.3 + 0.1 * (number % 4)) for task in run.tasks}
            sweep.write_run(run, scores, notes={task: [TEXT] for task in run.tasks})
    return sweep


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report([hostile_sweep(tmp_path_factory.mktemp("hostile")).directory])


@pytest.mark.slow
def test_attacks_are_plain_text_in_the_page(report: Path) -> None:
    page = Reader((report / "index.html").read_text())
    assert not page.errors
    assert len(page.all("script")) == 1
    assert page.all("img")
    assert all(image["src"] and image["src"].startswith("data:image/") for image in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [link for link in page.all("a") if not str(link["href"]).startswith(("#", "https://"))]
    assert TEXT in html.unescape(page.words)


@pytest.mark.slow
def test_attacks_are_plain_text_in_latex_tables(report: Path) -> None:
    files = sorted((report / "tables").glob("*.tex"))
    assert files
    for file in files:
        text = file.read_text()
        assert is_balanced(text), file
        assert not re.search(r"\\(input|write|frac|include|openout)", text), file
    assert any(r"\textbackslash{}" in file.read_text() or r"\textless{}" in file.read_text() for file in files)


@pytest.mark.slow
def test_attacks_are_plain_text_in_markdown(report: Path) -> None:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = [t for block in parser.parse((report / "report.md").read_text()) for t in (block, *(block.children or []))]
    assert "table_open" in {token.type for token in tokens}
    assert not [token.content for token in tokens if token.type in ("html_inline", "html_block")]
    pictures = [str(token.attrs["src"]) for token in tokens if token.type == "image"]
    assert pictures
    assert all(source.startswith(("figures/", "samples/")) for source in pictures)
    assert not [t.attrs["href"] for t in tokens if t.type == "link_open" and "javascript" in str(t.attrs["href"])]


@pytest.mark.slow
def test_attacks_are_drawn_as_text_in_figures(report: Path) -> None:
    files = sorted((report / "figures").glob("*.svg"))
    assert files
    for file in files:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(file).iter()}
        assert tags.isdisjoint({"script", "foreignObject", "a"}), file


@pytest.mark.slow
def test_nothing_is_written_outside_the_report(report: Path) -> None:
    study = report.parent
    assert {path.name for path in report.iterdir()} <= {"figures", "index.html", "report.md", "samples", "tables"}
    assert {path.name for path in study.parent.iterdir()} == {study.name}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.slow
def test_no_attack_runs_in_a_browser_and_the_page_works(report: Path, browser: Any) -> None:
    page = browser.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((report / "index.html").as_uri(), timeout=180_000)  # milliseconds
    page.wait_for_timeout(300)
    assert page.title() != "taken"
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.locator("th button").first.click()
    assert page.locator("th[aria-sort]").count() > 0
    page.close()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("study.yaml", lambda text: text.replace("- unified", "- ../../../unified"), "groupings: '../../../unified'"),
        ("study.yaml", lambda text: text.replace("base:", "'/tmp/base':"), "variants: '/tmp/base'"),
        ("study.yaml", lambda text: text.replace("- png", "- png/../../x"), "formats: 'png/../../x'"),
        ("data.json", lambda text: text.replace('"fetal_femur"', '"../fetal_femur"'), "tasks: '../fetal_femur'"),
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, file: str, change: Any, message: str) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    path = sweep.directory / file
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(RunError, match=re.escape(f"{path}: {message} is not a valid name")):
        read_source(sweep.directory)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir ['{ran}']", "!!python/name:os.system"])
def test_tags_in_a_stored_study_create_no_objects(tmp_path: Path, tag: str) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    path, ran = sweep.directory / "study.yaml", tmp_path / "ran"
    path.write_text(f"{path.read_text()}\nextra: {tag.format(ran=ran)}\n")
    with pytest.raises(RunError, match="cannot be read"):
        read_source(sweep.directory)
    assert not ran.exists()
    yaml.unsafe_load(f"extra: {tag.format(ran=ran)}")  # the attack works without the defense
    assert ran.exists() or "apply" not in tag
