"""Topic of staged groupings."""

from collections.abc import Iterator

from usaggr.report.staged.chapter import write_staged
from usaggr.report.staged.tables import STAGED_COLUMNS, make_staged, make_staged_table
from usaggr.report.tables import Tables
from usaggr.report.topic import TableFile, Topic


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("staged", STAGED_COLUMNS, make_staged_table(tables.compute(make_staged)))


TOPIC = Topic(write_staged, tables=_tables)
