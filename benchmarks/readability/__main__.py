"""Print measures of packages side by side, or list the banned words and names of files.

`python -m benchmarks.readability usaggr ../torchgeo/torchgeo` prints a table.
`python -m benchmarks.readability --list usaggr/data README.md` prints one line for each finding.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.generated import table
from benchmarks.readability.measures import Counts, count_package
from benchmarks.readability.vague_words import (
    VAGUE_DOCSTRING_WORDS,
    find_banned_member_names,
    find_banned_names,
    find_banned_words,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or the findings; return 1 if there are findings."""
    parser = argparse.ArgumentParser(description="Measure how readable packages are.")
    parser.add_argument("paths", nargs="+", type=Path, help="folders of Python packages; with --list also files")
    parser.add_argument("--list", action="store_true", help="print each banned word and name")
    options = parser.parse_args(arguments)
    if options.list:
        findings = [line for path in options.paths for line in list_findings(path)]
        sys.stdout.write("".join(f"{line}\n" for line in findings))
        return int(bool(findings))
    counts = [count_package(path) for path in options.paths]
    lines = [
        [values[0][0], *(text for _, text in values)]
        for values in zip(*(describe(count) for count in counts), strict=True)
    ]
    print(table(["measure", *(path.name for path in options.paths)], lines))
    return 0


def describe(counts: Counts) -> list[tuple[str, str]]:
    """Return the name and the value of each measure."""
    docstrings, functions = counts.docstrings, counts.long_functions
    return [
        ("modules", str(counts.modules)),
        ("docstrings that open with What, Whether, How, Where, Which", _share(counts.vague_openings, docstrings)),
        (f"docstrings with {', '.join(VAGUE_DOCSTRING_WORDS[:5])}, ...", _share(counts.vague_words, docstrings)),
        ("locals and parameters called found, own, of, one, ...", _share(counts.vague_locals, counts.locals)),
        ("public functions of 3 or more parameters with `Args:`", _share(counts.documented_functions, functions)),
        ("comments per 100 lines", f"{100 * counts.comments / max(counts.lines, 1):.1f}"),
        ("module names that do not say what the module holds", str(counts.vague_modules)),
    ]


def list_findings(path: Path) -> Iterator[str]:
    """Yield one line for each banned word and name of a file, or of the Python and Markdown files of a folder."""
    files = [path] if path.is_file() else [file for kind in ("py", "md", "yaml") for file in path.rglob(f"*.{kind}")]
    for file in sorted(files):
        text = file.read_text(encoding="utf-8")
        for word in find_banned_words(text):
            yield f"{file}:{word.line}: word '{word.text}'"
        if file.suffix == ".py":
            tree = ast.parse(text)
            for name in (*find_banned_names(tree), *find_banned_member_names(tree)):
                yield f"{file}:{name.line}: name '{name.text}'"


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "-"


if __name__ == "__main__":
    sys.exit(main())
