"""Chapter on the paper's claims: the quantity that is estimated for each, and the result."""

from collections.abc import Sequence

from usaggr.document import numbers as text
from usaggr.document.elements import Block, Cell, Details, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.differences_in_means import describe_scarce_differences
from usaggr.report.grouping_names import explain_labels
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.report.scale.tables import analyze_effects
from usaggr.statistics.claims import BOUND, STATEMENTS, Claim

_CLAIM_GROUPINGS = ("task_specific", "clinical", "unified")
"""Groupings that the paper compares."""
_MARKED_VERDICTS = {"supported": "✓ supported", "contradicted": "✗ contradicted", "undecided": "? undecided"}


def write_claims(material: Material) -> Section | None:
    """Write a table of claims per variant; return None if no run is finished."""
    claims = material.tables.compute(analyze_effects).claims
    if not material.comparison.runs_done or not claims:
        return None
    intro = make_paragraph(
        "The paper on task aggregation in ultrasound (arXiv:2603.18123) makes four claims. Each is tested here on this",
        f"study's own data, with the groupings {explain_labels(_CLAIM_GROUPINGS)}.",
        "We call a claim supported if its whole interval agrees with it, contradicted if the whole interval disagrees,",
        "and undecided otherwise. The intervals are not corrected for the number of claims.",
        "The paper compared clinical groups with each other. Groups differ in organ as well as in size, so that",
        "comparison cannot separate the two (it is confounded) and decides no claim. Comparisons within tasks can.",
        "Claim (a) needs more than a slope in skill that excludes 0, because a difference in skill must shrink at a",
        "ceiling: the slopes in skill, log error and log skill must agree, or the difference must change its sign.",
        f"It is contradicted if the slope in skill lies within ±{BOUND:g} and the difference does not change its sign.",
        "Cells in which a seed collapsed are left out.",
        describe_scarce_differences(material.comparison.verdicts),
    )
    blocks: list[Block | None] = []
    for variant in material.study.variants:
        suffix = f"-{variant}" if len(material.study.variants) > 1 else ""
        blocks.append(make_paragraph(f"Variant {escape_markdown(variant)}:" if suffix else ""))
        blocks += [_tabulate_claims(claims[variant], f"claims{suffix}"), _list_estimands(claims[variant])]
    return make_section("The paper's claims", intro, _tabulate_statements(), *blocks)


def _tabulate_statements() -> TextTable:
    return TextTable(
        ("claim", "statement of the paper"), tuple((f"({key})", statement) for key, statement in STATEMENTS.items())
    )


def _tabulate_claims(claims: Sequence[Claim], name: str) -> TextTable:
    """Return a table of the verdicts on claims, with the estimates that decide them."""
    table = []
    for claim in claims:
        value = score_texts.format_difference(claim.estimate, claim.low, claim.high, "skill")
        verdict = Cell(_MARKED_VERDICTS[claim.verdict], kind=claim.verdict)
        number = table_cells.make_number_cell(
            f"{value} {claim.unit}" if value != text.MISSING else value, claim.estimate
        )
        table.append((f"({claim.letter}) {claim.comparison}", verdict, number, claim.reason))
    columns = ("claim", "result", "estimate [interval]", "because")
    return TextTable(columns, tuple(table), name=name, caption="Result for each claim in this study.")


def _list_estimands(claims: Sequence[Claim]) -> Details:
    items = tuple(
        f"({claim.letter}) {escape_markdown(claim.comparison)}: {escape_markdown(claim.estimand)}" for claim in claims
    )
    return Details("Estimated quantity of each claim", (Items(items),))
