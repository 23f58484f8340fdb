"""LaTeX files of a document's named tables, with booktabs, ready for a paper.

Each file begins with the packages that it needs. It is ASCII, so that every engine and input encoding accepts it.
pandas' Styler.to_latex would write the frame of a table, but not the letters outside of ASCII, the packages, the
widths of columns with long texts, or tables that are too wide: that is most of this module.
"""

import unicodedata
from itertools import pairwise
from pathlib import Path

from usaggr.document.elements import Cell, Document, TextTable, tables_of
from usaggr.document.inline import inline_plain

_LONG = 40
"""Tables with more rows than this run over several pages."""
_PARAGRAPH = 32
"""Columns with a text of more letters than this are broken into lines."""
_LINE = 95
"""Approximate width of a page, in letters of small print."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$", "≠": r"$\neq$",
    "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$", "µ": r"$\mu$", "μ": r"$\mu$", "σ": r"$\sigma$",
    "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "✓": r"$\checkmark$", "✗": r"$\times$", "†": r"\dag{}",
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


def write_latex(document: Document, folder: Path) -> tuple[str, ...]:
    """Write each named table of the document as <name>.tex, and return the names in the document's order.

    Raises:
        ValueError: two tables have the same name.
    """
    tables = [table for table in tables_of(document) if table.name]
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise ValueError(f"tables of the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")
    return tuple(names)


def latex_table(table: TextTable) -> str:
    """Return a table environment with a booktabs tabular, or a longtable if the table does not fit on a page."""
    cells = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]
    columns, squeezed = _columns(table, cells)
    long = len(cells) > _LONG
    head, *lines_of_rows = (" & ".join(map(_cell, row)) + r" \\" for row in (table.columns, *cells))
    note = [rf"\multicolumn{{{len(table.columns)}}}{{l}}{{And {table.left_out:,} more, not shown.}} \\"]
    foot = [r"\bottomrule", *(note if table.left_out else [])]
    caption = [rf"\caption{{{latex_text(inline_plain(table.caption))}}}"] if table.caption else []
    label = [rf"\label{{tab:{table.name}}}"] if table.name else []
    if long:
        titled = [*caption, *label, r"\\"] if caption else label
        top = [r"\toprule", head, r"\midrule", r"\endhead"]
        lines = [rf"\begin{{longtable}}{{{columns}}}", *titled, *top, *lines_of_rows, *foot, r"\end{longtable}"]
    else:
        lines = [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines_of_rows,
            *foot,
            r"\end{tabular}",
        ]
        if squeezed:
            lines = [r"\resizebox{\linewidth}{!}{%", *lines[:-1], lines[-1] + "}"]
        lines = [r"\begin{table}", r"\centering", *caption, *label, r"\small", *lines, r"\end{table}"]
    body = "\n".join(lines)
    return f"% \\usepackage{{{','.join(_packages(body))}}}\n{body}\n"


def latex_text(text: str) -> str:
    """Escape text on one line; a letter that pdflatex may not know becomes its code, such as U+4E2D."""
    line = " ".join(text.split())
    # Two hyphens in a row would become a dash.
    gaps = ("{}" if pair == "--" else "" for pair in map("".join, pairwise(f" {line}")))
    return "".join(gap + _letter(letter) for gap, letter in zip(gaps, line, strict=True))


def _cell(text: str) -> str:
    r"""Escape a cell; a bracket or an asterisk after the end of a row would be read as an option of `\\`."""
    shown = latex_text(text)
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter.isascii():
        return letter if letter.isprintable() else " "
    # NFD splits a letter such as é into its base and an accent; other letters stay one part.
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"U+{ord(letter):04X}"


def _columns(table: TextTable, cells: list[list[str]]) -> tuple[str, bool]:
    """Return the column specification, numbers right and long texts in lines, and whether the table is too wide."""
    widths = [max((len(row[i]) for row in cells), default=0) for i in range(len(table.columns))]
    is_paragraph = [
        width > _PARAGRAPH and name not in table.numbers for width, name in zip(widths, table.columns, strict=True)
    ]
    unbroken = sum(
        max(width, len(name)) + 2
        for width, name, broken in zip(widths, table.columns, is_paragraph, strict=True)
        if not broken
    )
    share = max(0.25, 0.95 - unbroken / _LINE) / max(1, sum(is_paragraph))
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
    columns = [
        paragraph if broken else "r" if name in table.numbers else "l"
        for name, broken in zip(table.columns, is_paragraph, strict=True)
    ]
    return "".join(columns), unbroken > (0.75 * _LINE if any(is_paragraph) else _LINE)


def _packages(body: str) -> list[str]:
    """Return the packages that the commands of a table come from."""
    needed = {
        "amssymb": any(f"\\{name}" in body for name in _SYMBOLS),
        "array": r"\arraybackslash" in body,
        "booktabs": True,
        "graphicx": r"\resizebox" in body,
        "longtable": r"\begin{longtable}" in body,
    }
    return [name for name, is_needed in needed.items() if is_needed]
