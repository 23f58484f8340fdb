"""A document as Markdown: structure, escaping, and the number of rows left out."""

import pytest
from markdown_it import MarkdownIt

from usaggr.document.elements import (
    Block,
    Cell,
    Details,
    Document,
    Gallery,
    Items,
    Paragraph,
    Picture,
    Section,
    TextTable,
)
from usaggr.document.markdown import render_markdown, render_markdown_table

TABLE = TextTable(
    ("task", "Δ"), (("a_b|c", "−0.1"), (Cell("x & y", 1.0, "gain"), "+0.2")), ("Δ",), name="t", caption="A *b*."
)


def document(*blocks: Block) -> Document:
    return Document("Of a_study", (Paragraph("**lead**"),), (Section("One", blocks, (Section("Two", (TABLE,)),)),))


def test_markdown_has_all_blocks_in_order() -> None:
    picture = Picture("figures/x.png", "X", "what | there is")
    text = render_markdown(document(Items(("a", "b")), picture, Details("more", (Paragraph("inner"),))))
    assert text == (
        "# Of a_study\n\n**lead**\n\n## One\n\n- a\n- b\n\n![what \\| there is](figures/x.png)\n\n*X*\n\n"
        "**more**\n\ninner\n\n"
        "### Two\n\nA *b*.\n\n| task | Δ |\n| --- | ---: |\n| a_b\\|c | −0.1 |\n| x &amp; y | +0.2 |\n"
    )


def test_a_gallery_is_its_caption_followed_by_its_pictures() -> None:
    pictures = (Picture("a.png", "A", "one"), Picture("b.png", "B", "two"))
    page = render_markdown(Document("t", (Gallery(pictures, "*both*"),)))
    assert page == "# t\n\n*both*\n\n![one](a.png)\n\n*A*\n\n![two](b.png)\n\n*B*\n"


def test_rows_left_out_are_counted() -> None:
    assert render_markdown_table(TextTable(("a",), (("1",),), left_out=1200)).endswith("\n\nAnd 1,200 more, not shown.")


@pytest.mark.parametrize("text", ["# no heading", "- no list", "+ no list", "1. no list", "> no quote", "=== no rule"])
def test_a_paragraph_is_not_read_as_a_heading_a_list_or_a_rule(text: str) -> None:
    page = render_markdown(Document("t", (Paragraph(text),)))
    kinds = [token.type for token in MarkdownIt("commonmark").parse(page) if token.nesting == 1]
    assert kinds == ["heading_open", "paragraph_open"]


def test_a_table_of_hostile_cells_keeps_its_shape() -> None:
    hostile = "a|b\n| c | <b> `d|e` \\| [x](y)"
    table = TextTable((hostile, "n"), ((hostile, "1"), (Cell(hostile), "2")), ("n",))
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(render_markdown_table(table))
    assert page.count("<tr>") == 3
    assert page.count("<td") == 4
    assert "<b>" not in page
    assert "<a" not in page


def test_a_picture_s_description_cannot_end_its_link() -> None:
    page = render_markdown(Document("t", (Picture("figures/a b.png", "A", "x](http://e) [y]"),)))
    shown = MarkdownIt("commonmark").render(page)
    assert '<img src="figures/a%20b.png" alt="x](http://e) [y]"' in shown
    assert "<a" not in shown
