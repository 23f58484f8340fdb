"""The paper's claims on this sweep's data: what was estimated for each, and what comes of it."""

import pandas as pd

from usaggr.document import numbers as text
from usaggr.document.elements import Block, Cell, Details, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section
from usaggr.report.scale.tables import make_interplay

_MARKS = {"supported": "✓ supported", "contradicted": "✗ contradicted", "undecided": "? undecided"}


def write_claims(material: Material) -> Section | None:
    """A table a variant; none where nothing is done."""
    claims = material.tables.of(make_interplay).claims
    if not material.comparison.runs_done or claims.empty:
        return None
    intro = paragraph(
        "The paper on task aggregation in ultrasound (arXiv:2603.18123) makes four claims. Each is put here as a "
        "quantity of",
        "this sweep, over all cells that can be compared. A rule of",
        "certainty decides: the interval lies on the claim's side of its bound, or on the other; else the claim is",
        "undecided here. Between clinical groups is the paper's way, in which organ and amount of data are confounded.",
    )
    blocks: list[Block | None] = []
    for variant in material.study.variants:
        rows = claims[(claims["variant"] == variant) & ~claims["valid_only"].astype(bool)]
        if len(rows):
            several = f"-{variant}" if len(material.study.variants) > 1 else ""
            blocks += [paragraph(f"Variant {literal(variant)}:" if several else ""), _table(rows, f"claims{several}")]
            blocks.append(_estimands(rows))
    return section("The paper's claims", intro, _statements(claims), *blocks)


def _statements(claims: pd.DataFrame) -> TextTable:
    rows = claims.drop_duplicates("letter")[["letter", "statement"]]
    cells = tuple((f"({letter})", str(said)) for letter, said in rows.itertuples(index=False, name=None))
    return TextTable(("claim", "what the paper says"), cells)


def _table(rows: pd.DataFrame, name: str) -> TextTable:
    shown = []
    for row in rows.to_dict("records"):
        value = text.difference(row["estimate"], row["low"], row["high"], "skill")
        finding = Cell(_MARKS[row["verdict"]], kind=row["verdict"])
        number = table_cells.number(f"{value} {row['unit']}" if value != text.MISSING else value, row["estimate"])
        shown.append((f"({row['letter']}) {row['about']}", finding, number, str(row["why"])))
    columns = ("claim", "here", "estimate [interval]", "because")
    return TextTable(columns, tuple(shown), name=name, caption="What this sweep says of each claim.")


def _estimands(rows: pd.DataFrame) -> Details:
    said = rows[["letter", "about", "estimand"]].itertuples(index=False, name=None)
    items = tuple(f"({letter}) {literal(about)}: {literal(estimand)}" for letter, about, estimand in said)
    return Details("What is estimated for each claim", (Items(items),))
