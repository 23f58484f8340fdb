"""The document as Markdown and as booktabs tables: structure, escaping, and what is left out."""

import re
from pathlib import Path

import pytest

from usaggr.report.document import (
    Cell,
    Details,
    Document,
    Items,
    Paragraph,
    Picture,
    Section,
    TextTable,
    blocks_of,
    literal,
    tables_of,
)  # fmt: skip
from usaggr.report.latex import latex_table, latex_text, write_latex
from usaggr.report.plain import render_markdown

TABLE = TextTable(
    ("task", "Δ"), (("a_b|c", "−0.1"), (Cell("x & y", 1.0, "gain"), "+0.2")), ("Δ",), name="t", caption="A *b*."
)


def document(*blocks: object) -> Document:
    return Document(
        "Of a_study", (Paragraph("**lead**"),), (Section("One", tuple(blocks), (Section("Two", (TABLE,)),)),)
    )  # type: ignore[arg-type]


def test_markdown_has_all_blocks_in_order() -> None:
    picture = Picture("figures/x.png", "X", "what | there is")
    text = render_markdown(document(Items(("a", "b")), picture, Details("more", (Paragraph("inner"),))))
    assert text == (
        "# Of a_study\n\n**lead**\n\n## One\n\n- a\n- b\n\n![what \\| there is](figures/x.png)\n\n*X*\n\n"
        "**more**\n\ninner\n\n"
        "### Two\n\nA *b*.\n\n| task | Δ |\n| --- | ---: |\n| a_b\\|c | −0.1 |\n| x &amp; y | +0.2 |\n"
    )


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("a|b", "a\\|b"), ("<b>", "&lt;b&gt;"), ("two\nlines", "two lines"), ("*x*", "\\*x\\*"), ("a_b _c_", "a_b \\_c\\_"),
     ("[l](u)", "[l\\](u)"), ("[0, 1]", "[0, 1]")],
)  # fmt: skip
def test_text_from_data_is_literal(raw: str, shown: str) -> None:
    assert literal(raw) == shown


def test_blocks_and_tables_are_found_wherever_they_stand() -> None:
    page = document(Details("more", (TABLE,)))
    assert len(list(tables_of(page))) == 2
    assert sum(isinstance(block, Paragraph) for block in blocks_of(page)) == 1


def test_a_latex_table_is_booktabs_with_its_columns() -> None:
    text = latex_table(TABLE)
    assert "\\begin{tabular}{lr}" in text
    assert "a\\_b\\textbar{}c & $-$0.1 \\\\" in text
    assert "x \\& y & +0.2 \\\\" in text
    assert "\\caption{A b.}" in text
    assert text.index("\\toprule") < text.index("\\midrule") < text.index("\\bottomrule")
    for row in re.findall(r"^.*\\\\$", text, flags=re.M):
        assert len(re.findall(r"(?<!\\)&", row)) == 1


def test_a_long_table_runs_over_pages() -> None:
    text = latex_table(TextTable(("a",), tuple((str(i),) for i in range(60)), name="long"))
    assert "\\begin{longtable}{l}" in text
    assert "\\begin{table}" not in text


@pytest.mark.parametrize("text", ["50 % & $x_1^2$ {#} ~ \\ <a>", "−1 ± 2 ≥ ▲ ▼ † × → “q”", "plain", "unknown ☃ sign"])
def test_latex_text_is_ascii_without_markup(text: str) -> None:
    found = latex_text(text)
    assert found.isascii()
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[&%$#_{}]|\$\\?[-a-zA-Z]+\$", "", found)
    assert not re.search(r"[&%$#_{}~^\\<>]", bare)


def test_each_named_table_has_a_file_and_a_name_of_its_own(tmp_path: Path) -> None:
    assert write_latex(document(), tmp_path) == ("t",)
    assert (tmp_path / "t.tex").read_text() == latex_table(TABLE)
    with pytest.raises(ValueError, match="tables of the same name: t"):
        write_latex(document(TABLE), tmp_path)
