"""The requests of a prediction are read from an index, which may be linked if the user says so."""

from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from usaggr.errors import DataError
from usaggr.inference.prediction_requests import read_requests
from usaggr.tasks import Task

TASKS = {"cls": Task("cls", "classification", 3, "organ", "group", ("a", "b", "c"))}


def test_an_index_that_is_linked_from_elsewhere_is_read_only_on_request(tmp_path: Path) -> None:
    elsewhere, root = tiny_data(tmp_path / "elsewhere"), tmp_path / "data"
    root.mkdir()
    (root / "csv_files").symlink_to(elsewhere / "csv_files")
    with pytest.raises(DataError, match=r"is a link to .* \(usaggr predict: --follow-links\)"):
        read_requests(root, TASKS, None, None)
    assert len(read_requests(root, TASKS, None, None, follow_links=True).requests) == 4
