"""The HTML page as text: complete, escaped, with everything inside; test_browser.py reads it in a browser."""

import base64
import hashlib
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

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
    escape_markdown,
)
from usaggr.document.html import render_page

HOSTILE = (
    "</script></style><script>alert(1)</script>\"><img src=x onerror=alert(2)> a|b*c* {{ 7 * 7 }} ' & [x](javascript:1)"
)
VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Reader(HTMLParser):
    """A page's elements with their attributes, the elements left open, and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.errors: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    scanlines = zlib.compress(b"\0" * (width + 1) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", scanlines) + chunk(b"IEND", b"")


def page_of(*blocks: Block, folder: Path = Path()) -> Reader:
    return Reader(render_page(Document("Title", (), (Section("One", blocks),)), folder))


def make_table(number: int, **more: str) -> TextTable:
    return TextTable(("name", "n"), tuple((f"r{i}", str(i)) for i in range(number)), ("n",), **more)


def test_all_blocks_are_shown_and_every_element_is_closed() -> None:
    table = TextTable(("a", "b"), (("x_y", Cell("▲ +1 [0, 2]", 1.0, "gain")),), ("b",), left_out=1200, caption="*C*")
    page = page_of(Paragraph("**p**"), Items(("i1", "i2")), table, Details("more", (Paragraph("inner"),)))
    assert (page.open, page.errors) == ([], [])
    for words in ("Title", "One", "p", "i1", "i2", "x_y", "▲", "+1", "[0, 2]", "And 1,200 more, not shown.", "inner"):
        assert words in page.words
    assert [len(page.all(tag)) for tag in ("strong", "em", "details", "table")] == [1, 1, 2, 1]


def test_text_from_data_never_becomes_markup() -> None:
    table = TextTable((HOSTILE, "n"), tuple((HOSTILE, Cell(HOSTILE, HOSTILE, HOSTILE)) for _ in range(9)), ("n",),
                      caption=escape_markdown(HOSTILE))  # fmt: skip
    blocks = (Paragraph(escape_markdown(HOSTILE)), Items((HOSTILE,)), table, Details(HOSTILE, (Paragraph(HOSTILE),)))
    plain = page_of(Paragraph("p"), Items(("i",)), make_table(9, caption="c"), Details("d", (Paragraph("p"),)))
    page = Reader(render_page(Document("Title", (), (Section(HOSTILE, blocks),)), Path()))
    assert (page.open, page.errors) == ([], [])
    # Inline Markdown may turn some of it into emphasis, which is harmless.
    assert [tag for tag, _ in page.elements if tag != "em"] == [tag for tag, _ in plain.elements]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [a for a in page.all("a") if not (a["href"] or "").startswith("#")]
    assert page.words.count("{{ 7 * 7 }}") > 20
    assert {c for _, a in page.elements for c in (a.get("class") or "").split()} <= {
        "anchor", "table", "caption", "controls", "shown", "scroll", "number", "long", "short",
    }  # fmt: skip


def test_the_policy_of_the_page_allows_only_its_own_style_and_script() -> None:
    text = render_page(Document("t", (), ()), Path())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    for tag in ("style", "script"):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        assert len(contents) == 1
        digest = base64.b64encode(hashlib.sha256(contents[0].encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy.group(1)
    assert policy.group(1).startswith(
        "default-src &#39;none&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;; img-src data:;"
    )
    assert not re.search(r"https?://", text)


def test_sections_with_equal_titles_have_different_anchors_and_contents_link_to_them() -> None:
    inner = (Section("All", (Paragraph("x"),)), Section("All-2", (Paragraph("y"),)))
    sections = (Section("All", (), inner), Section("All", (Paragraph("z"),)), Section("…", (Paragraph("w"),)))
    page = Reader(render_page(Document("t", (), sections), Path()))
    anchors = [a["id"] for a in page.all("section")]
    assert len(set(anchors)) == len(anchors) == 5
    ids = {a["id"] for _, a in page.elements if "id" in a}
    links = [str(a["href"])[1:] for a in page.all("a")]
    assert set(links) <= ids
    assert set(anchors) <= set(links)


def test_headings_are_no_deeper_than_html_allows() -> None:
    section = Section("deep", (Paragraph("x"),))
    for _ in range(8):
        section = Section("over", (), (section,))
    page = Reader(render_page(Document("t", (), (section,)), Path()))
    assert (page.open, page.errors) == ([], [])
    assert {tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)} == {"h1", "h2", "h3", "h4", "h5", "h6"}


def test_pictures_are_inside_with_their_size_and_the_smaller_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "b.svg").write_text("<svg/>")
    (tmp_path / "c.png").write_bytes(png())
    (tmp_path / "c.svg").write_text("<svg>" + " " * 5000 + "</svg>")
    pictures = [Picture(f"{name}.png", f"{name} title", HOSTILE) for name in "abc"]
    images = page_of(*pictures, folder=tmp_path).all("img")
    data = [base64.b64decode(str(image["src"]).split(",")[1]) for image in images]
    assert data == [png(), b"<svg/>", png()]
    assert str(images[1]["src"]).startswith("data:image/svg+xml;base64,")
    assert [(image.get("width"), image.get("height")) for image in images] == [("3", "2"), (None, None), ("3", "2")]
    assert all(image["alt"] == HOSTILE for image in images)


def test_a_gallery_shows_its_caption_and_each_picture_with_title_and_description(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff")
    pictures = (Picture("a.png", "first", "seen *here*"), Picture("b.jpg", HOSTILE, HOSTILE))
    page = page_of(Gallery(pictures, "**2** differ"), folder=tmp_path)
    assert (page.open, page.errors) == ([], [])
    assert [str(image["src"]).split(",")[0] for image in page.all("img")] == [
        "data:image/png;base64",
        "data:image/jpeg;base64",
    ]
    assert [image["alt"] for image in page.all("img")] == ["first", HOSTILE]
    for words in ("2 differ", "first", "seen *here*"):
        assert words in page.words
    assert page.words.count("alert(2)") == 2
    assert len(page.all("script")) == 1


def test_a_missing_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        page_of(Picture("none.png", "t", "d"), folder=tmp_path)


@pytest.mark.parametrize(("number", "filters"), [(8, 0), (9, 1)])
def test_tables_with_many_rows_can_be_filtered(number: int, filters: int) -> None:
    assert len(page_of(make_table(number)).all("input")) == filters


def test_the_same_document_gives_the_same_page() -> None:
    document = Document("t", (Paragraph("x"),), (Section("One", (make_table(30),)),))
    assert render_page(document, Path()) == render_page(document, Path())
