"""The page in a real browser: nothing fails, nothing is fetched, tables sort and filter, nothing overflows."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.document.elements import (
    Cell,
    Details,
    Document,
    Gallery,
    Items,
    Paragraph,
    Picture,
    Section,
    TextTable,
    escape_markdown,
)
from usaggr.document.html import render_page
from usaggr.report.build import build_report

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter((item) => {
    if (item.closest('.scroll, .picture, svg')) return false;
    const box = item.getBoundingClientRect();
    return box.width > 0 && box.right > document.documentElement.clientWidth + 1;
}).map((item) => item.outerHTML.slice(0, 120))"""
PALE = """() => {
    const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((c) => linear(c / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (item) => {
        for (; item; item = item.parentElement) {
            const color = getComputedStyle(item).backgroundColor;
            if (!/^rgba.*, 0\\)$|transparent/.test(color)) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const texts = document.querySelectorAll('p, li, td, tbody th, th button, .mark, .interval, label, '
        + '.controls button, figcaption, summary, a, h1, h2, h3');
    return [...texts].filter((item) => {
        const [a, b] = [light(getComputedStyle(item).color), light(ground(item))].sort((x, y) => y - x);
        return item.offsetParent && (a + 0.05) / (b + 0.05) < 4.5;
    }).map((item) => item.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the report of a sweep with verdicts, collapsed runs, a failed one, and a study whose name is hostile."""
    tasks = (
        "breast_lesion",
        "breast_2cls",
        "fetal_head",
        "fetal_femur",
        "thyroid_nodule_det",
        "thyroid_nodule",
        "lung",
    )
    tasks += ("FUGC", "ovary_tumor", "carotid_artery")

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        lift = 0.06 * (tasks.index(task) - 4) * (len(block) > 1)
        return level(CATALOGUE[task], 0.5 + lift + 0.01 * seed + 0.1 * float(scale))

    folder = tmp_path_factory.mktemp("study") / "name<b>&amp;"
    sweep = FakeSweep(folder, tasks, scales=(0.25, 1.0), subjects=40, frames=1, spread=0.05)
    sweep.write_plan()
    for run, _ in sweep.runs():
        if (run.block, run.seed) == ("lung", 0):
            sweep.write_failure(run, "RunError: <script>alert('no')</script> | out of memory\ntraceback")
        else:
            sweep.write_run(run, {task: scorer(task, run.tasks, run.scale, run.seed) for task in run.tasks})
    return build_report([sweep.directory]) / "index.html"


def open_page(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str], list[str]]:
    """The page, what it complains of, and what it asks the network for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri(), timeout=180_000)  # milliseconds; the first start of a busy machine is slow
    return page, complaints, [url for url in requests if not url.startswith(("data:", "file:"))]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_stands_by_itself_at_any_width_and_in_any_light(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    page, complaints, requests = open_page(browser, report, width, scheme)
    assert (complaints, requests) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(PALE) == []
    sizes = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth)")
    assert len(sizes) >= 4
    assert all(sizes)
    page.close()


def test_no_section_is_empty_and_nothing_is_undefined(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report)
    empty = """[...document.querySelectorAll('section')].filter((section) =>
        !section.querySelector('p, li, table, img')).map((section) => section.id)"""
    assert page.evaluate(empty) == []
    text = page.evaluate("document.body.innerText")
    for word in ("NaN", "nan ", "None", "undefined", "<NA>", "inf"):
        assert word not in text.replace("information", ""), word
    links = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1))"
    )
    assert links
    assert page.evaluate("(links) => links.every((id) => document.getElementById(id))", links)
    page.close()


def column(page: Any, table: int, index: int) -> list[str]:
    cells: list[str] = page.evaluate(
        "([t, i]) => [...document.querySelectorAll('table')[t].tBodies[0].rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim())",
        [table, index],
    )
    return cells


def test_every_table_sorts_both_ways_by_every_column(browser: Any, report: Path) -> None:
    page, complaints, _ = open_page(browser, report)
    for table in range(page.evaluate("document.querySelectorAll('table').length")):
        heads = page.evaluate("(t) => document.querySelectorAll('table')[t].tHead.rows[0].cells.length", table)
        before = sorted(column(page, table, 0))
        for index in range(heads):
            click = "([t, i]) => document.querySelectorAll('table')[t].tHead.rows[0].cells[i].firstElementChild.click()"
            page.evaluate(click, [table, index])
            up = column(page, table, index)
            page.evaluate(click, [table, index])
            down = column(page, table, index)
            assert sorted(up) == sorted(down)
            missing = [value for value in up if value in ("", "–", "missing")]
            assert up[len(up) - len(missing) :] == missing
            assert down[len(down) - len(missing) :] == missing
            numbers = [float(value) for value in up if value.replace(".", "", 1).lstrip("-").isdigit()]
            assert numbers == sorted(numbers)
            state = "([t, i]) => document.querySelectorAll('table')[t].tHead.rows[0].cells[i].getAttribute('aria-sort')"
            assert page.evaluate(state, [table, index]) == "descending"
        assert sorted(column(page, table, 0)) == before
    assert complaints == []
    page.close()


def test_a_table_is_sorted_by_keyboard(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report)
    page.locator("th button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("th").first.get_attribute("aria-sort") == "ascending"
    page.close()


def test_long_tables_filter_by_words_and_by_verdicts(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report)
    controls = page.locator(".controls").filter(has=page.locator("button")).first
    table = controls.locator("xpath=..").locator("tbody tr")
    everything = table.count()
    controls.locator("input").fill("breast")
    shown = [row for row in range(everything) if table.nth(row).is_visible()]
    assert 0 < len(shown) < everything
    assert all("breast" in table.nth(row).inner_text() for row in shown)
    assert controls.locator(".shown").inner_text() == f"{len(shown)} of {everything} rows"
    controls.locator("input").fill("")
    button = controls.locator("button").first
    kind = button.get_attribute("data-kind")
    button.click()
    chosen = [row for row in range(everything) if table.nth(row).is_visible()]
    assert 0 < len(chosen) < everything
    assert all(table.nth(row).locator(f"td[data-kind={kind}]").count() for row in chosen)
    button.click()
    assert all(table.nth(row).is_visible() for row in range(everything))
    page.close()


def test_the_reader_chooses_the_colors(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#scheme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.close()


def test_the_page_prints_with_everything_unfolded(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report)
    content = page.pdf(format="A4")
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    page.close()


def test_what_is_folded_is_unfolded_for_print_alone(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    folded = Details("more", (Paragraph("inside"),))
    document = Document("t", (), (Section("One", (folded,)),))
    path.write_text(render_page(document, tmp_path), encoding="utf-8")
    page, *_ = open_page(browser, path, width=390)
    is_open = "document.querySelector('main details').open"
    assert not page.evaluate(is_open)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(is_open)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate(is_open)
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_a_gallery_stand_side_by_side_within_the_page(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    for number in range(6):
        Image.new("RGB", (240, 160)).save(tmp_path / f"{number}.png")
    pictures = tuple(Picture(f"{number}.png", "folder/" * 9, f"picture {number}; " * 5) for number in range(6))
    path = tmp_path / "index.html"
    path.write_text(render_page(Document("t", (Gallery(pictures, "**Six**"),)), tmp_path), encoding="utf-8")
    page, complaints, requests = open_page(browser, path, width, scheme)
    assert (complaints, requests) == ([], [])
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(PALE) == []
    assert page.evaluate("[...document.images].map((image) => image.width)") == [240] * 6
    tops = page.evaluate("[...document.images].map((image) => image.getBoundingClientRect().top)")
    assert len(set(tops)) == (6 if width == 390 else 2)
    page.close()


def test_contents_are_folded_on_a_narrow_screen_and_stay_in_view_on_a_wide_one(browser: Any, report: Path) -> None:
    page, *_ = open_page(browser, report, width=390)
    assert not page.locator("nav ol").first.is_visible()
    page.locator("nav summary").click()
    page.locator("nav a").last.click()
    assert not page.locator("nav ol").first.is_visible()
    page.close()
    page, *_ = open_page(browser, report, width=1280)
    page.locator("main > section").last.scroll_into_view_if_needed()
    page.evaluate("document.querySelector('main > section:last-of-type').scrollIntoView()")
    page.locator("nav details > ol > li.current:last-child").wait_for()
    assert page.locator("nav li.current").count() == 1
    assert page.locator("nav summary").is_visible()
    page.close()


def test_what_cannot_be_compared_comes_last_whichever_way_a_column_is_sorted(browser: Any, tmp_path: Path) -> None:
    cells = ("same run", "+0.10 [−0.10, +0.30]", Cell("▼ −0.20 [−0.30, −0.10]", -0.2, "loss"), "missing", "1,000", "–")
    table = TextTable(("task", "Δ"), tuple((f"t{i}", cell) for i, cell in enumerate(cells)), ("Δ",))
    path = tmp_path / "index.html"
    path.write_text(render_page(Document("t", (table,)), tmp_path), encoding="utf-8")
    page, *_ = open_page(browser, path)
    head = page.locator("th button").nth(1)
    head.click()
    assert column(page, 0, 0) == ["t2", "t1", "t4", "t0", "t3", "t5"]
    head.click()
    assert column(page, 0, 0) == ["t4", "t1", "t2", "t0", "t3", "t5"]
    page.close()


def test_what_is_not_the_page_s_own_neither_runs_nor_loads(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    page_text = render_page(Document("t", (Paragraph("x"),)), tmp_path)
    added = "<script>document.title = 'taken'</script><img src='https://example.org/x.png'></main>"
    path.write_text(page_text.replace("</main>", added), encoding="utf-8")
    page, complaints, _ = open_page(browser, path)
    assert page.title() == "t"
    assert len([line for line in complaints if "Content Security Policy" in line]) == 2
    page.close()


def test_text_from_data_is_never_markup(browser: Any, tmp_path: Path) -> None:
    hostile = '"><img src=x onerror=alert(1)><script>alert(2)</script> a|b *c* [x](javascript:alert(3)) {{ 7*7 }}'
    table = TextTable(
        (hostile, "n"), ((Cell(hostile, hostile), "1"), ("a", "2")), ("n",), caption=escape_markdown(hostile)
    )
    blocks = (Paragraph(escape_markdown(hostile)), Paragraph(hostile), Items((escape_markdown(hostile),)), table)
    document = Document(hostile, blocks, (Section(hostile, blocks), Section(hostile, blocks)))
    path = tmp_path / "index.html"
    path.write_text(render_page(document, tmp_path), encoding="utf-8")
    page, complaints, requests = open_page(browser, path)
    page.wait_for_timeout(200)
    assert (complaints, requests) == ([], [])
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.querySelectorAll('a[href^=javascript]').length") == 0
    assert page.locator("h1").inner_text() == hostile
    assert "{{ 7*7 }}" in page.locator("p").first.inner_text()
    page.close()
