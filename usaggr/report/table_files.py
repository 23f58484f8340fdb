"""Files of the report's tables: scores.csv, comparison.csv, summary.csv, and those of its topics."""

from pathlib import Path

from usaggr.analysis.observations import SCORE_COLUMNS
from usaggr.analysis.summary import SUMMARY_COLUMNS
from usaggr.analysis.verdict_table import COMPARISON_COLUMNS
from usaggr.report.tables import Tables
from usaggr.report.topic import TableFile
from usaggr.report.topics import TOPICS


def write_tables(tables: Tables, folder: Path) -> None:
    """Write all tables as CSV; missing and undefined values are empty fields.

    A topic's table without rows is not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    comparison = tables.comparison
    _write(folder, TableFile("scores", SCORE_COLUMNS, tables.scores))
    _write(folder, TableFile("comparison", COMPARISON_COLUMNS, comparison.verdict_table))
    _write(folder, TableFile("summary", SUMMARY_COLUMNS, comparison.summary_table))
    for topic in TOPICS:
        for file in topic.tables(tables):
            if not file.table.empty:
                _write(folder, file)


def _write(folder: Path, file: TableFile) -> None:
    # Ten digits are more than any score has, and avoid 0.30000000000000004 in a table that people open.
    text = file.table[list(file.columns)].to_csv(index=False, float_format="%.10g", lineterminator="\n")
    (folder / f"{file.name}.csv").write_text(text, encoding="utf-8")
