"""Text from data stays plain text in a document, and blocks are returned at any depth."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.document.elements import (
    Details,
    Document,
    Paragraph,
    Section,
    TextTable,
    escape_markdown,
    walk_blocks,
    walk_tables,
)
from usaggr.document.inline import render_inline_html, strip_markup

TABLE = TextTable(("a",), (("1",),))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("a|b", "a\\|b"), ("<b>", "&lt;b&gt;"), ("two\nlines", "two lines"), ("*x*", "\\*x\\*"),
     ("a_b _c_", "a_b \\_c\\_"), ("[l](u)", "[l\\](u)"), ("[0, 1]", "[0, 1]")],
)  # fmt: skip
def test_text_from_data_is_literal(raw: str, shown: str) -> None:
    assert escape_markdown(raw) == shown


@given(st.text(alphabet=st.sampled_from("ab_*`~|<>&[]()!\\#\"' :;/é\n1."), max_size=40))
def test_literal_text_is_unchanged_by_inline_markdown(text: str) -> None:
    line = " ".join(text.split())
    assert html.unescape(render_inline_html(escape_markdown(text))) == line
    assert strip_markup(escape_markdown(text)) == line


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("**a** *b* `c`", "<strong>a</strong> <em>b</em> <code>c</code>"),
        ("[x](https://example.org)", '<a href="https://example.org">x</a>'),
        ("[x](#data)", '<a href="#data">x</a>'),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](file:///etc/passwd)", "[x](file:///etc/passwd)"),
        ("[x](other.html)", "[x](other.html)"),
        ("![x](https://example.org/i.png)", '!<a href="https://example.org/i.png">x</a>'),
        ("<img src=x>", "&lt;img src=x&gt;"),
    ],
)
def test_inline_markdown_has_only_emphasis_code_and_links_to_the_web_or_within_the_page(raw: str, shown: str) -> None:
    assert render_inline_html(raw) == shown


def test_plain_text_has_no_markup() -> None:
    assert strip_markup("**a** *b* `c_d` [e](#f) &amp; \\*g") == "a b c_d e & *g"


def test_blocks_and_tables_are_returned_at_any_depth() -> None:
    inner = Section("Two", (TABLE,))
    page = Document("t", (Paragraph("lead"),), (Section("One", (Details("more", (TABLE,)),), (inner,)),))
    assert [type(block).__name__ for block in walk_blocks(page)] == ["Paragraph", "Details", "TextTable", "TextTable"]
    assert list(walk_tables(page)) == [TABLE, TABLE]


def test_literal_text_has_no_line_breaks() -> None:
    assert not re.search(r"[\n\r\t]", escape_markdown("a\r\nb\tc"))
