r"""tables/*.tex: the report's named tables with booktabs, to be set in a paper (`\usepackage{booktabs,longtable}`)."""

from pathlib import Path

from usaggr.report.document import Cell, Document, TextTable, tables_of
from usaggr.report.inline import inline_plain

_LONG = 40
"""Tables with more rows run over several pages."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "Δ": r"$\Delta$", "–": "--",
    "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "†": r"\dag{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "“": "``", "”": "''", "’": "'", "…": r"\dots{}", "→": r"$\rightarrow$", "α": r"$\alpha$", "≈": r"$\approx$",
}  # fmt: skip


def write_latex(document: Document, folder: Path) -> tuple[str, ...]:
    """Write each named table of the document as <name>.tex; returns the names, in the document's order.

    Raises:
        ValueError: two tables have one name.
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
    """A table environment with a booktabs tabular; a longtable where it would not fit on a page."""
    columns = "".join("r" if name in table.numbers else "l" for name in table.columns)
    head = " & ".join(latex_text(name) for name in table.columns) + r" \\"
    rows = [" & ".join(latex_text(_text(cell)) for cell in row) + r" \\" for row in table.rows]
    caption = latex_text(inline_plain(table.caption))
    note = [f"% {table.left_out} more rows are not shown."] if table.left_out else []
    said = [r"\caption{" + caption + r"}"] if caption else []
    if len(rows) > _LONG:
        opening = [r"\begin{longtable}{" + columns + r"}", *(f"{line} \\\\" for line in said)]
        lines = [r"\toprule", head, r"\midrule", r"\endhead", *rows, r"\bottomrule", r"\end{longtable}"]
        return "\n".join([*note, *opening, *lines]) + "\n"
    opening = [r"\begin{table}", r"\centering", *said, r"\label{tab:" + table.name + r"}", r"\small"]
    body = [
        r"\begin{tabular}{" + columns + r"}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*note, *opening, *body, r"\end{table}"]) + "\n"


def latex_text(text: str) -> str:
    """Text on one line in which nothing is markup; what is beyond ASCII and not known here is left out."""
    escaped = "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
    return escaped.encode("ascii", "ignore").decode()


def _text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell
