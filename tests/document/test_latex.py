"""LaTeX tables are read back by a small parser, since a TeX engine may not be installed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.document.elements import Cell, Document, TextTable
from usaggr.document.latex import escape_latex, render_latex_table, write_latex

TABLE = TextTable(
    ("task", "Δ"), (("a_b|c", "−0.1"), (Cell("x & y", 1.0, "gain"), "+0.2")), ("Δ",), name="t", caption="A *b*."
)


def columns_of(text: str) -> int:
    """Return the number of columns that the tabular declares."""
    declaration = re.search(r"\\begin\{(?:tabular|longtable)\}\{(.*)\}$", text, flags=re.M)
    assert declaration
    return len(re.sub(r">\{[^}]*\}p\{[^}]*\}", "p", declaration.group(1)))


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all rows, the header first, without the note under the table."""
    lines = text.split("\\toprule\n")[1].split("\\bottomrule")[0].splitlines()
    ends = [line for line in lines if line.endswith(r" \\")]
    return [re.split(r"(?<!\\) ?&(?: |$)", line.removesuffix(r" \\")) for line in ends]


def is_balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    names = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    opened = [name for kind, name in names if kind == "begin"]
    closed = [name for kind, name in names if kind == "end"]
    return depth == 0 and opened == closed[::-1]


def test_a_table_is_booktabs_with_its_columns() -> None:
    text = render_latex_table(TABLE)
    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}\n")
    assert "\\begin{tabular}{lr}" in text
    assert rows_of(text) == [["task", r"$\Delta$"], [r"a\_b\textbar{}c", "$-$0.1"], [r"x \& y", "+0.2"]]
    assert "\\caption{A b.}\n\\label{tab:t}" in text
    assert text.index("\\toprule") < text.index("\\midrule") < text.index("\\bottomrule")


def test_a_long_table_continues_over_pages_with_its_header() -> None:
    text = render_latex_table(
        TextTable(("a",), tuple((str(i),) for i in range(60)), name="long", caption="C", left_out=7)
    )
    assert text.startswith(
        "% \\usepackage{booktabs,longtable}\n\\begin{longtable}{l}\n\\caption{C}\n\\label{tab:long}\n\\\\"
    )
    assert "\\begin{table}" not in text
    assert text.index("\\endhead") < text.index("\n0 ")
    assert len(rows_of(text)) == 61
    assert r"\multicolumn{1}{l}{And 7 more, not shown.}" in text


def test_long_texts_are_broken_into_lines_and_wide_tables_fit_the_page() -> None:
    table = render_latex_table(TextTable(("task", "because"), (("a", "why " * 20),)))
    assert r">{\raggedright\arraybackslash}p{0.89\linewidth}" in table
    assert table.startswith("% \\usepackage{array,booktabs}\n")
    wide = render_latex_table(TextTable(tuple(f"column {i:02}" for i in range(12)), (("0.123 ± 0.123",) * 12,)))
    assert r"\resizebox{\linewidth}{!}{%" in wide
    assert "graphicx" in wide.splitlines()[0]


def test_packages_that_marks_need_are_listed() -> None:
    assert render_latex_table(TextTable(("a",), (("▼ loss",),))).startswith("% \\usepackage{amssymb,booktabs}\n")


def test_a_row_never_begins_with_text_that_the_row_end_above_takes_as_an_option() -> None:
    table_rows = rows_of(render_latex_table(TextTable(("a", "b"), (("[1cm]", "x"), ("*", "y"), ("", "z")))))
    assert [row[0] for row in table_rows[1:]] == ["{}[1cm]", "{}*", ""]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a--b – c", "a-{}-b -- c"), ("Müller é ő", "M\\\"{u}ller \\'{e} \\H{o}"), ("☃", "U+2603"),
     ("100 % \\x", "100 \\% \\textbackslash{}x")],
)  # fmt: skip
def test_letters_are_kept_or_replaced_by_their_code(text: str, shown: str) -> None:
    assert escape_latex(text) == shown


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=20)), max_size=50), st.text(max_size=40))
def test_a_table_of_any_text_keeps_its_shape_and_is_ascii(samples: list[tuple[str, str]], title: str) -> None:
    text = render_latex_table(TextTable((title, "n"), tuple(samples), ("n",), name="t"))
    assert text.isascii()
    assert is_balanced(text)
    assert columns_of(text) == 2
    assert {len(row) for row in rows_of(text)} == {2}
    assert len(rows_of(text)) == len(samples) + 1
    cells = " ".join(cell for row in rows_of(text) for cell in row)
    without_commands = re.sub(
        r"\\[a-zA-Z]+\{\}|\\[&%$#_{}]|\$(?:[-a-zA-Z\\]+|\^\{[^$]*\})\$|\\[`'^~=u.\"rHvck]\{\w\}|\{\}", "", cells
    )
    assert not re.search(r"[&%$#_{}~^\\<>]", without_commands)


def test_each_named_table_has_its_own_file_and_duplicate_names_are_refused(tmp_path: Path) -> None:
    unnamed = TextTable(("a",), (("1",),))
    assert write_latex(Document("d", (TABLE, unnamed)), tmp_path / "tables") == ("t",)
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["t.tex"]
    assert (tmp_path / "tables" / "t.tex").read_text() == render_latex_table(TABLE)
    with pytest.raises(ValueError, match="tables of the same name: t"):
        write_latex(Document("d", (TABLE, TABLE)), tmp_path)


def test_marks_of_scores_and_verdicts_are_ascii_commands() -> None:
    assert escape_latex("= +0.1 ‡24, 0.3 †") == r"= +0.1 \ddag{}24, 0.3 \dag{}"
