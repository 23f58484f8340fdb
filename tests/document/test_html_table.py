"""Tables on the page: sort keys, marks, intervals, and line breaks in cells."""

import pytest

from usaggr.document.elements import Cell, TextTable
from usaggr.document.html_table import PageCell, prepare_table


def column(*cells: str | Cell, number: bool = True) -> list[PageCell]:
    table = TextTable(("x",), tuple((cell,) for cell in cells), ("x",) if number else ())
    return [row[0] for row in prepare_table(table).rows]


@pytest.mark.parametrize(
    ("text", "key"),
    [("1,234", "1234.0"), ("−0.5", "-0.5"), ("+1.2 % [−1, +3]", "1.2"), ("0.30 ± 0.10 †", "0.3"), ("< .001", "0.001"),
     ("3 of 8", "3.0"), ("1e-3", "0.001"), ("–", ""), ("missing", ""), ("same run", ""), ("", ""), ("0:01:30", "")],
)  # fmt: skip
def test_numbers_are_sorted_by_the_number_at_the_start_of_their_text(text: str, key: str) -> None:
    assert column(text)[0].sort == key


def test_an_explicit_sort_key_takes_precedence_over_the_text() -> None:
    assert [cell.sort for cell in column(Cell("0:01:30", 90.0), Cell("5", 2), Cell("7", float("nan")))] == [
        "90.0",
        "2.0",
        "",
    ]
    assert [cell.sort for cell in column(Cell("b", "1"), "a", "–", number=False)] == ["1", "a", ""]


def test_a_column_is_numeric_if_it_is_aligned_right_or_has_only_numbers() -> None:
    cells = (("a", "1", "1.5", "1", "–"), ("b", "n/a", "−2", "2x", "–"))
    table = TextTable(("text", "right", "numbers", "mixed", "nothing"), cells, ("right",))
    assert prepare_table(table).numeric == (False, True, True, False, False)


def test_a_verdict_has_its_mark_exactly_once() -> None:
    cells = column(Cell("▲ +0.02 [+0.01, +0.03]", 0.02, "gain"), Cell("CG", kind="no_loss"), Cell("= 5"), number=True)
    assert [(cell.mark, cell.text, cell.interval) for cell in cells] == [
        ("▲", "+0.02", "[+0.01, +0.03]"),
        ("=", "CG", ""),
        ("", "= 5", ""),
    ]
    claim = column(Cell("✓ supported", kind="supported"), number=False)[0]
    assert (claim.mark, claim.text, claim.kind) == ("✓", "supported", "supported")


def test_the_parts_of_a_cell_contain_all_of_its_text() -> None:
    for text in (
        "0.30 ± 0.10 † (2 of 3 seeds)",
        "+1.2 % [−1.0, +3.0]",
        "[0, 1]",
        "± 3",
        "plain",
        "1 [2, 3] and [4, 5]",
    ):
        cell = column(text)[0]
        assert "".join((cell.text, cell.interval, cell.suffix)).replace(" ", "") == text.replace(" ", "")


def test_a_text_column_keeps_brackets_in_the_text() -> None:
    assert column("CG +0.1 [0, 1]", "words", number=False)[0].interval == ""


def test_an_unknown_kind_never_becomes_a_css_class() -> None:
    cell = column(Cell("x", kind='"><script>'))[0]
    assert (cell.kind, cell.mark) == ("", "")


def test_verdicts_of_a_table_are_listed_in_a_fixed_order() -> None:
    cells = tuple((Cell("x", kind=kind),) for kind in ("undecided", "gain", "gain", "failed", ""))
    assert prepare_table(TextTable(("x",), cells)).verdicts == (("gain", "▲ gain"), ("undecided", "? undecided"))


def test_short_texts_stay_on_one_line_and_long_ones_get_a_minimum_width() -> None:
    assert [cell.breaks for cell in column("a" * 24, "a" * 30, "a" * 49, number=False)] == ["short", "", "long"]
