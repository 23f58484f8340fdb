"""docs/methodology.md quotes measured pages correctly, cites all its sources, and has the linked sections."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "methodology.md").read_text(encoding="utf-8")
TEXT, SOURCES = PAGE.split("\n## Sources\n")
FAMILIES = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
SEEDS = ("3 seeds", "5 seeds")

Table = dict[str, dict[str, str]]
"""Cells by row and column."""


def read_table(text: str) -> Table:
    """Return the first table of a text; the first column names the rows."""
    lines = [line.strip() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    grid = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[start:] if line.startswith("|")]
    names = grid[0][1:]
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in grid[2:]}


def read_family_table(title: str) -> Table:
    """Return a table of docs/families.md."""
    return read_table(FAMILIES.split(f"\n### {title}\n")[1].split("\n### ")[0])


def get_worst(cell: str) -> float:
    """Return the last number of a cell: the worst of its groupings and scales."""
    return float(re.findall(r"[\d.]+", cell)[-1])


def make_anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


ANCHORS = {make_anchor(heading) for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}


def test_the_table_of_limits_is_that_of_the_simulated_families() -> None:
    quoted = read_table(TEXT.split("\n## Limits\n")[1])
    measured = read_family_table("False gain or loss")
    assert len(quoted) > 5
    for world, cells in quoted.items():
        assert {name: float(cell) for name, cell in cells.items()} == {
            name: get_worst(measured[world][name]) for name in cells
        }, world


def test_the_number_of_missed_bounds_is_that_of_the_simulated_families() -> None:
    tables = [read_family_table(title) for title in ("False gain or loss", "False no loss", "Coverage")]
    cells = {
        seeds: [cell for table in tables for row in table.values() for name, cell in row.items() if seeds in name]
        for seeds in SEEDS
    }
    missed = [sum("misses" in cell for cell in cells[seeds]) for seeds in SEEDS]
    statement = f"three seeds {missed[0]} of these {len(cells['3 seeds'])} bounds are missed, with five {missed[1]},"
    assert statement in " ".join(TEXT.split())


def test_the_worst_no_loss_and_coverage_are_those_of_the_simulated_families() -> None:
    no_loss, coverage = (
        {
            world: [get_worst(cell) for name, cell in cells.items() if name.endswith(SEEDS)]
            for world, cells in read_family_table(title).items()
        }
        for title in ("False no loss", "Coverage")
    )
    failing = "one run in five falls"
    largest, lowest = max(no_loss.pop(failing)), min(coverage.pop(failing))
    statement = f"false no loss reaches {largest} % and coverage falls to {lowest} %"
    elsewhere = f"elsewhere {max(map(max, no_loss.values()))} % and {min(map(min, coverage.values()))} %"
    assert f"{statement}; {elsewhere}" in " ".join(TEXT.split())


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda path: str(path.name)
)
def test_every_link_to_a_section_of_the_page_leads_to_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    linked = set(re.findall(r"methodology\.md#([\w-]+)", text))
    if path.name == "methodology.md":
        linked |= set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert linked <= ANCHORS


def test_every_source_is_cited() -> None:
    entries = [" ".join(entry.split()) for entry in SOURCES.split("\n- ")[1:]]
    assert len(entries) > 20
    words = " ".join(TEXT.split())
    for entry in entries:
        author = re.match(r"(\S+) [A-Z]{1,3}[,.]", entry)
        if author is None:  # an entry without authors is cited by its identifier
            assert entry.split()[-1].rstrip(".") in words, entry
            continue
        year = re.findall(r"\b(?:19|20)\d\d\b", entry)[0]
        assert re.search(rf"{author[1]}.{{0,40}}?{year}", words), entry
