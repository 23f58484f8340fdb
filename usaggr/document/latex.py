"""LaTeX files of a document's named tables, with booktabs, ready for a paper.

Each file begins with the packages that it needs. It is ASCII, so that every engine and input encoding accepts it.
pandas' Styler.to_latex would write the frame of a table, but not the letters outside of ASCII, the packages, the
widths of columns with long texts, or tables that are too wide: that is most of this module.
"""

import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from usaggr.document.elements import Cell, Document, TextTable, walk_tables
from usaggr.document.inline import strip_markup

_LONG = 40
"""Tables with more rows than this run over several pages."""
_PARAGRAPH = 32
"""Columns with a text of more letters than this are broken into lines."""
_LINE = 95
"""Approximate width of a page, in letters of small print."""
_COLUMN_GAP = 2
"""Width of the gap between columns, in letters."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$", "≠": r"$\neq$",
    "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$", "µ": r"$\mu$", "μ": r"$\mu$", "σ": r"$\sigma$",
    "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "✓": r"$\checkmark$", "✗": r"$\times$", "†": r"\dag{}",
    "‡": r"\ddag{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "–": "--", "—": "---", "…": r"\dots{}",
    "“": "``", "”": "''", "‘": "`", "’": "'", "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}",
    "æ": r"\ae{}", "Æ": r"\AE{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
    "°": r"$^{\circ}$", "²": "$^{2}$", "³": "$^{3}$",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0328": "k",
}  # fmt: skip
_SYMBOLS = ("blacktriangle", "checkmark")
"""Commands that come from the package amssymb."""


class _Columns(NamedTuple):
    """Layout of a table's columns."""

    specification: str
    """Argument of the tabular: r for numbers, l for texts, p for long texts, which are broken into lines."""
    are_too_wide: bool
    """True if the columns need more than the width of the page."""


def write_latex(document: Document, folder: Path) -> tuple[str, ...]:
    """Write each named table of the document as <name>.tex, and return the names in the document's order.

    Raises:
        ValueError: two tables have the same name.
    """
    tables = [table for table in walk_tables(document) if table.name]
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise ValueError(f"tables of the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.tex").write_text(render_latex_table(table), encoding="utf-8")
    return tuple(names)


def render_latex_table(table: TextTable) -> str:
    """Return a table environment with a booktabs tabular, or a longtable if the table does not fit on a page."""
    cells = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]
    head, *body_lines = (" & ".join(map(_escape_cell, row)) + r" \\" for row in (table.columns, *cells))
    body_lines.append(r"\bottomrule")
    if table.left_out:
        body_lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{And {table.left_out:,} more, not shown.}} \\")
    columns = _measure_columns(table, cells)
    write = _write_longtable if len(cells) > _LONG else _write_table_environment
    body = "\n".join(write(table, columns, head, body_lines))
    return f"% \\usepackage{{{','.join(_list_packages(body))}}}\n{body}\n"


def _write_longtable(table: TextTable, columns: _Columns, head: str, body_lines: list[str]) -> list[str]:
    """Return the lines of a table that runs over several pages and repeats its head on each.

    Args:
        table: The table, for its caption and name.
        columns: Specification of its columns.
        head: Line with the names of the columns.
        body_lines: Lines below the head.
    """
    caption, label = _write_caption(table)
    title = [*caption, *label, r"\\"] if caption else label
    top = [r"\toprule", head, r"\midrule", r"\endhead"]
    return [rf"\begin{{longtable}}{{{columns.specification}}}", *title, *top, *body_lines, r"\end{longtable}"]


def _write_table_environment(table: TextTable, columns: _Columns, head: str, body_lines: list[str]) -> list[str]:
    """Return the lines of a table on one page, scaled down if it is wider than the page.

    Args:
        table: The table, for its caption and name.
        columns: Specification of its columns.
        head: Line with the names of the columns.
        body_lines: Lines below the head.
    """
    begin, end = rf"\begin{{tabular}}{{{columns.specification}}}", r"\end{tabular}"
    if columns.are_too_wide:
        begin, end = r"\resizebox{\linewidth}{!}{%" + f"\n{begin}", end + "}"
    tabular = [begin, r"\toprule", head, r"\midrule", *body_lines, end]
    caption, label = _write_caption(table)
    return [r"\begin{table}", r"\centering", *caption, *label, r"\small", *tabular, r"\end{table}"]


def _write_caption(table: TextTable) -> tuple[list[str], list[str]]:
    """Return the lines of the caption and of the label; each is empty without one."""
    caption = [rf"\caption{{{escape_latex(strip_markup(table.caption))}}}"] if table.caption else []
    return caption, [rf"\label{{tab:{table.name}}}"] if table.name else []


def escape_latex(text: str) -> str:
    """Escape text on one line; a letter that pdflatex may not know becomes its code, such as U+4E2D."""
    line = " ".join(text.split())
    # Two hyphens in a row would become a dash.
    gaps = ("{}" if pair == "--" else "" for pair in map("".join, pairwise(f" {line}")))
    return "".join(gap + _escape_letter(letter) for gap, letter in zip(gaps, line, strict=True))


def _escape_cell(text: str) -> str:
    r"""Escape a cell; a bracket or an asterisk after the end of a row would be read as an option of `\\`."""
    shown = escape_latex(text)
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


def _escape_letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter.isascii():
        return letter if letter.isprintable() else " "
    # NFD splits a letter such as é into its base and an accent; other letters stay one part.
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"U+{ord(letter):04X}"


def _measure_columns(table: TextTable, cells: list[list[str]]) -> _Columns:
    unbroken_width, is_paragraph = 0, []
    for i, name in enumerate(table.columns):
        width = max((len(row[i]) for row in cells), default=0)
        is_paragraph.append(width > _PARAGRAPH and name not in table.numbers)
        if not is_paragraph[-1]:
            unbroken_width += max(width, len(name)) + _COLUMN_GAP
    # Long texts share the rest of the line, at least a quarter of it, less 5 % for the gaps between them.
    paragraphs = sum(is_paragraph)
    share = max(0.25, 0.95 - unbroken_width / _LINE) / max(1, paragraphs)
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
    specification = "".join(
        paragraph if broken else "r" if name in table.numbers else "l"
        for name, broken in zip(table.columns, is_paragraph, strict=True)
    )
    return _Columns(specification, unbroken_width > (0.75 * _LINE if paragraphs else _LINE))


def _list_packages(body: str) -> list[str]:
    """Return the packages that the commands of a table come from."""
    needed = {
        "amssymb": any(f"\\{name}" in body for name in _SYMBOLS),
        "array": r"\arraybackslash" in body,
        "booktabs": True,
        "graphicx": r"\resizebox" in body,
        "longtable": r"\begin{longtable}" in body,
    }
    return [name for name, is_needed in needed.items() if is_needed]
