"""Columns of predictions.parquet and SCHEMA_VERSION change together: readers recognize old files by version."""

import json
from pathlib import Path

from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.predictions import SCHEMA

STORED = Path(__file__).with_name("predictions_schemas.json")
"""Names and types of the columns, in their order, by schema version. An entry of an older version is never changed."""
HOW = (
    "raise SCHEMA_VERSION in usaggr/results/integrity.py, let read_predictions fill in what older files lack, "
    f"describe the columns in docs/results.md, and add an entry of the new version to tests/results/{STORED.name}"
)


def test_columns_of_predictions_change_only_together_with_the_schema_version() -> None:
    versions = json.loads(STORED.read_text())
    columns = [[field.name, str(field.type)] for field in SCHEMA]
    assert str(SCHEMA_VERSION) in versions, f"SCHEMA_VERSION is new: add its columns to tests/results/{STORED.name}"
    assert columns == versions[str(SCHEMA_VERSION)], f"predictions.parquet has other columns than before: {HOW}"
    assert max(map(int, versions)) == SCHEMA_VERSION, f"{STORED.name} has a version that is newer than the code: {HOW}"
