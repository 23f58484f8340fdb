"""A changed file of a study is noticed by its checksum, also if each of its cells is still valid."""

import hashlib
from pathlib import Path

import pytest

from usaggr.errors import RunError
from usaggr.results import contract_sums
from usaggr.results.contract_sums import check_sum, write_contract_file
from usaggr.results.plan import PlanRow, read_plan, write_plan_rows
from usaggr.results.split import SplitRow, read_split_rows, write_split_rows

ROWS = [(PlanRow(f"a-s1-k{seed}", "a", ("g",), ("a",), 1.0, seed, "base", f"{seed}" * 64), "done") for seed in (0, 1)]
SAMPLES = [(SplitRow("a", f"{i}.png", i, "test", f"{i}.png", f"p{i}", f"p{i}", "0" * 64), None) for i in range(3)]


def test_the_file_of_checksums_has_the_format_of_sha256sum(tmp_path: Path) -> None:
    write_contract_file(tmp_path / "plan.csv", "text\n")
    digest = hashlib.sha256(b"text\n").hexdigest()
    assert (tmp_path / "contract.sha256").read_text() == f"{digest}  plan.csv\n"


def test_a_plan_that_is_cut_off_between_two_lines_or_changed_is_refused(tmp_path: Path) -> None:
    write_plan_rows(tmp_path, ROWS)
    path = tmp_path / "plan.csv"
    text = path.read_text()
    assert len(read_plan(tmp_path)) == 2
    for changed in ("".join(text.splitlines(keepends=True)[:2]), text.replace(",1.0,1,", ",1.0,2,")):
        assert changed != text
        path.write_text(changed)
        with pytest.raises(RunError, match=r"plan\.csv: has changed since it was written .*`usaggr sweep`"):
            read_plan(tmp_path)


def test_a_changed_component_of_split_csv_is_refused_and_no_run_is_to_be_removed(tmp_path: Path) -> None:
    write_split_rows(tmp_path, [], SAMPLES)
    path = tmp_path / "split.csv"
    assert len(read_split_rows(path)) == 3
    path.write_text(path.read_text().replace(",p2,2,test", ",p2,1,test"))
    with pytest.raises(RunError, match=r"split\.csv: has changed since it was written .*no run has to be trained"):
        read_split_rows(path)


def test_files_of_versions_without_checksums_are_read(tmp_path: Path) -> None:
    write_plan_rows(tmp_path, ROWS)
    (tmp_path / "contract.sha256").unlink()
    (tmp_path / "plan.csv").write_text((tmp_path / "plan.csv").read_text().replace(",1.0,1,", ",1.0,2,"))
    assert [row.seed for row in read_plan(tmp_path)] == [0, 2]


def test_a_kill_between_the_checksum_and_the_file_leaves_a_valid_file(tmp_path: Path) -> None:
    write_contract_file(tmp_path / "plan.csv", "old")
    contract_sums._add_line(tmp_path / "contract.sha256", f"{hashlib.sha256(b'new').hexdigest()}  plan.csv\n")
    check_sum(tmp_path / "plan.csv", "")
    (tmp_path / "plan.csv").write_text("new")
    check_sum(tmp_path / "plan.csv", "")


def test_equal_files_add_no_line_and_old_lines_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_sums, "_MAX_LINES", 4)
    monkeypatch.setattr(contract_sums, "_KEPT_LINES", 2)
    sums = tmp_path / "contract.sha256"
    for text in ("a", "a", "a"):
        write_contract_file(tmp_path / "plan.csv", text)
    assert len(sums.read_text().splitlines()) == 1
    for number in range(5):
        write_contract_file(tmp_path / "plan.csv", f"{number}")
    assert len(sums.read_text().splitlines()) == 4
    check_sum(tmp_path / "plan.csv", "")


def test_a_file_of_checksums_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "contract.sha256").symlink_to(outside)
    with pytest.raises(RunError, match=r"contract\.sha256: cannot be written"):
        write_contract_file(tmp_path / "study" / "plan.csv", "a")
    assert not outside.exists()
