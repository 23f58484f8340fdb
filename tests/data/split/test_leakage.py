"""The proof that subsets are disjoint must fail if any step of the split is wrong."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import usaggr.data.read.subjects
from tests.data.factories import data_config, read_rows, tiny_data, write_rows
from tests.data.read.test_subjects import MISSING, NAMES, SAME
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.samples import Sample
from usaggr.data.split.leakage import KINDS, PlacedSample, Proof, prove_disjoint
from usaggr.data.split.manifest import count_overlaps, make_manifest


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Patients are 0, 1, ... in one index file and 0.0, 1.0, ... in two others, which share their images."""
    root = tiny_data(tmp_path / "data", n=30)
    for file, end in (("cls", ""), ("seg", ".0"), ("det", ".0")):
        table = read_rows(root, f"{file}.csv")
        write_rows(root, f"{file}.csv", [{**row, "subject_id": f"{i // 2}{end}"} for i, row in enumerate(table)])
    for i, row in enumerate(read_rows(root, "seg.csv")):
        (root / "det" / f"s{i // 2}_{i}.png").write_bytes((root / "csv_files" / row["image_path"]).read_bytes())
    return data_config(root, tmp_path / "cache")


def proof_of(data: DataConfig) -> dict[str, int]:
    return count_overlaps(make_manifest(load_dataset(data), data, [0]))


def test_a_correct_split_is_proved_disjoint(data: DataConfig) -> None:
    proof = proof_of(data)
    assert {kind: proof[f"{kind}_in_two_folds"] for kind in KINDS} == dict.fromkeys(KINDS, 0)
    # 15 patients of three tasks; the 30 images of reg have no subject and count as one patient each.
    assert (proof["subjects"], proof["images"], proof["files"], proof["components"]) == (45, 90, 120, 45)


def test_components_that_ignore_subjects_are_detected(data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usaggr.data.split.make_split.number_components", lambda samples: list(range(len(samples))))
    proof = proof_of(data)
    assert proof["components_in_two_folds"] == 0
    assert proof["subjects_in_two_folds"] > 0
    assert proof["images_in_two_folds"] > 0


def test_subject_names_that_are_not_normalized_are_detected(data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usaggr.data.read.subjects, "normalize_subject", lambda text: text)
    proof = proof_of(data)
    assert proof["components_in_two_folds"] == proof["images_in_two_folds"] == 0
    assert proof["subjects_in_two_folds"] > 0


def test_subjects_that_the_reader_loses_before_the_split_are_detected(
    data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_image(samples: list[Sample]) -> list[int]:
        numbers: dict[str, int] = {}
        return [numbers.setdefault(sample.image_hash, len(numbers)) for sample in samples]

    monkeypatch.setattr("usaggr.data.split.make_split.number_components", by_image)
    proof = proof_of(data)
    assert proof["images_in_two_folds"] == 0
    assert proof["subjects_in_two_folds"] > 0


def placed(subset: str, subject: str, number: int) -> PlacedSample:
    return PlacedSample(subset, number, f"image {number}", f"{number}.png", subject)


def prove_two_subsets(train_subject: str, test_subject: str) -> Proof:
    return prove_disjoint([placed("train", train_subject, 0), placed("test", test_subject, 1)])


def test_an_overlap_is_named_with_its_two_subsets() -> None:
    proof = prove_two_subsets("17", "17.0")
    assert proof.shared == {"components": (), "images": (), "files": (), "subjects": ("17 (train, test)",)}
    assert not proof.is_disjoint
    assert proof.describe() == (
        "subsets are not disjoint: of 2 components, 2 images, 2 files, 1 subject, these are in two subsets: 1 subject, "
        "such as subject 17 (train, test)"
    )


def test_missing_hashes_and_subjects_are_neither_counted_nor_shared() -> None:
    proof = prove_disjoint([PlacedSample("train", 0, "", "a.png", ""), PlacedSample("test", 1, "", "b.png", "")])
    assert proof.totals == {"components": 2, "files": 2, "subjects": 2}
    assert proof.is_disjoint


_SPELLINGS = sorted({*(text for texts in SAME.values() for text in texts), *MISSING, *NAMES})
_texts = st.sampled_from(_SPELLINGS) | st.text(st.sampled_from("017.,\uff11eE+-Pp\u00e9 \u00a0\u200bNA/n"), max_size=8)


@given(_texts, _texts)
@example("1e+05", "100000")
@example("01e+05", "100000")
@example("0e+00", "0")
@example("17.0", "17,0")
@example("1,000", "1")
@example("1,2,0", "1")
@example("1.2,0", "1.2")
@example("\uff11\uff17", "17")
def test_the_proof_and_the_split_agree_on_which_names_are_one_patient(first: str, second: str) -> None:
    is_same = normalize_subject(first) == normalize_subject(second) != ""
    assert prove_two_subsets(first, second).is_disjoint == (not is_same)
