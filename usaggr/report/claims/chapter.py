"""The paper's claims on this sweep's data: what was estimated for each, and what comes of it."""

from collections.abc import Sequence

from usaggr.document import numbers as text
from usaggr.document.elements import Block, Cell, Details, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section
from usaggr.report.scale.tables import make_interplay
from usaggr.statistics.claims import STATEMENTS, Claim

_MARKS = {"supported": "✓ supported", "contradicted": "✗ contradicted", "undecided": "? undecided"}


def write_claims(material: Material) -> Section | None:
    """A table a variant; none where nothing is done."""
    claims = material.tables.of(make_interplay).claims
    if not material.comparison.runs_done or not claims:
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
        several = f"-{variant}" if len(material.study.variants) > 1 else ""
        blocks.append(paragraph(f"Variant {literal(variant)}:" if several else ""))
        blocks += [_table(claims[variant], f"claims{several}"), _estimands(claims[variant])]
    return section("The paper's claims", intro, _statements(), *blocks)


def _statements() -> TextTable:
    return TextTable(("claim", "what the paper says"), tuple((f"({key})", said) for key, said in STATEMENTS.items()))


def _table(claims: Sequence[Claim], name: str) -> TextTable:
    shown = []
    for claim in claims:
        value = text.difference(claim.estimate, claim.low, claim.high, "skill")
        finding = Cell(_MARKS[claim.verdict], kind=claim.verdict)
        number = table_cells.number(f"{value} {claim.unit}" if value != text.MISSING else value, claim.estimate)
        shown.append((f"({claim.letter}) {claim.about}", finding, number, claim.why))
    columns = ("claim", "here", "estimate [interval]", "because")
    return TextTable(columns, tuple(shown), name=name, caption="What this sweep says of each claim.")


def _estimands(claims: Sequence[Claim]) -> Details:
    items = tuple(f"({claim.letter}) {literal(claim.about)}: {literal(claim.estimand)}" for claim in claims)
    return Details("What is estimated for each claim", (Items(items),))
