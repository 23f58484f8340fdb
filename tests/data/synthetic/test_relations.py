"""Planted relations: anatomy, patients and labels of related and conflicting tasks, and tasks without relations."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.factories import NOTHING_PLANTED, data_config
from usaggr.config.study import SyntheticConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.show.overview import find_overlaps
from usaggr.data.synthetic import difficulty, writer
from usaggr.data.synthetic.image_plan import Shot, Use, plan_images
from usaggr.data.synthetic.picture import replace_labels, take_picture
from usaggr.data.synthetic.writer import prepare_synthetic, write_synthetic
from usaggr.errors import ConfigError

PAIR = ["breast_lesion", "thyroid_nodule"]
"""Two segmentation tasks with one class, of different pools."""


def config(tasks: list[str] = PAIR, **planted: Any) -> SyntheticConfig:
    values = {**NOTHING_PLANTED, **planted}
    return SyntheticConfig(tasks=tasks, samples_per_task=20, frames_per_subject=2, seed=0, **values)


def uses_of(synthetic: SyntheticConfig, task: str) -> dict[Shot, Use]:
    return {shot: use for shot, uses in plan_images(synthetic).items() for use in uses if use.task_id == task}


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_set_without_relations_has_the_name_of_earlier_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "write_synthetic", lambda synthetic, root, *_: root.mkdir(parents=True))
    old = {"tasks": PAIR, "samples_per_task": 20, "frames_per_subject": 2, "seed": 0}
    hardness = {name: getattr(difficulty, name) for name in dir(difficulty) if name.isupper()}
    text = json.dumps({**old, "version": writer.GENERATOR_VERSION, "difficulty": hardness}, sort_keys=True)
    data = data_config(tmp_path, tmp_path, synthetic=config().model_dump())
    names = [prepare_synthetic(data, tmp_path).name]
    assert names == [hashlib.sha256(text.encode()).hexdigest()[:16]]
    for planted in (
        {"related": {"thyroid_nodule": "breast_lesion"}},
        {"conflicting": {"thyroid_nodule": "breast_lesion"}},
        {"samples_of": {"breast_lesion": 30}},
    ):
        data = data_config(tmp_path, tmp_path, synthetic=config(**planted).model_dump())
        names.append(prepare_synthetic(data, tmp_path).name)
    assert len(set(names)) == 4


@pytest.mark.parametrize("kind", ["related", "conflicting"])
def test_a_relation_changes_no_other_task(tmp_path: Path, kind: str) -> None:
    tasks = [*PAIR, "breast_2cls"]
    write_synthetic(config(tasks), tmp_path / "plain", 1)
    write_synthetic(config(tasks, **{kind: {"thyroid_nodule": "breast_lesion"}}), tmp_path / "planted", 1)
    plain, planted = files(tmp_path / "plain"), files(tmp_path / "planted")
    unrelated = {name for name in plain if "thyroid" not in name}
    assert unrelated == {name for name in planted if "thyroid" not in name}
    assert all(plain[name] == planted[name] for name in unrelated)
    assert not {name for name in plain if "thyroid" in name and "images" in name} & set(planted)


@pytest.mark.parametrize("kind", ["related", "conflicting"])
def test_a_task_shows_its_partners_anatomy_in_other_patients(kind: str) -> None:
    synthetic = config(
        [*PAIR, "ovary_tumor"], **{kind: dict.fromkeys(("thyroid_nodule", "ovary_tumor"), "breast_lesion")}
    )
    uses_by_task = {task: uses_of(synthetic, task) for task in synthetic.tasks}
    assert {(shot.pool, shot.kind) for uses in uses_by_task.values() for shot in uses} == {
        ("breast", "benign"), ("breast", "malignant"),
    }  # fmt: skip
    kinds = {task: Counter(shot.kind for shot in uses) for task, uses in uses_by_task.items()}
    assert kinds["thyroid_nodule"] == kinds["ovary_tumor"] == kinds["breast_lesion"] == {"benign": 12, "malignant": 8}
    subjects = [{shot.subject_id for shot in uses} for uses in uses_by_task.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects))


def test_labels_of_a_related_task_are_those_of_the_image_and_of_a_conflicting_one_those_of_another_image() -> None:
    related = uses_of(config(related={"thyroid_nodule": "breast_lesion"}), "thyroid_nodule")
    conflicting = uses_of(config(conflicting={"thyroid_nodule": "breast_lesion"}), "thyroid_nodule")
    assert set(conflicting) == set(related)
    assert all(use.labelled_by is None for use in related.values())
    # Each label is used once, so that the mean label is the same as without a relation.
    assert Counter(use.labelled_by for use in conflicting.values()) == Counter(list(related))
    assert sum(shot == use.labelled_by for shot, use in conflicting.items()) <= 3


def test_classes_of_a_conflicting_task_do_not_depend_on_the_anatomy() -> None:
    tasks = ["breast_2cls", "lung_2cls"]
    values = {**NOTHING_PLANTED, "conflicting": {"lung_2cls": "breast_2cls"}}
    synthetic = SyntheticConfig(tasks=tasks, samples_per_task=400, frames_per_subject=1, seed=0, **values)
    uses = uses_of(synthetic, "lung_2cls")
    assert Counter(use.label for use in uses.values()) == {0: 220, 1: 180}
    malignant = [use.label for shot, use in uses.items() if shot.kind == "malignant"]
    benign = [use.label for shot, use in uses.items() if shot.kind == "benign"]
    # 4 standard deviations of the difference between two random shares.
    assert abs(np.mean(malignant) - np.mean(benign)) < 4 * np.sqrt(0.45 * 0.55 * (1 / 220 + 1 / 180))


def test_labels_of_another_image_are_stretched_to_this_one() -> None:
    picture, other = (take_picture(shot, 0) for shot in list(uses_of(config(["FUGC", "breast_lesion"]), "FUGC"))[:4:3])
    assert picture.image.shape != other.image.shape
    labeled = replace_labels(picture, other)
    assert labeled.image is picture.image
    height, width = picture.image.shape
    other_height, other_width = other.image.shape
    assert labeled.mask is not None
    assert other.mask is not None
    assert labeled.mask.shape == (height, width)
    assert set(np.unique(labeled.mask)) == set(np.unique(other.mask))
    assert (labeled.mask > 0).mean() == pytest.approx((other.mask > 0).mean(), rel=0.05)
    for (x, y), (other_x, other_y) in zip(labeled.points, other.points, strict=True):
        assert (x / width, y / height) == pytest.approx((other_x / other_width, other_y / other_height))


@pytest.mark.parametrize(
    "pair", [("thyroid_nodule", "breast_lesion"), ("lung_2cls", "breast_2cls"),
             ("thyroid_nodule_det", "uterine_fibroid_det"), ("fetal_femur", "FUGC")],
)  # fmt: skip
def test_conflicting_tasks_of_any_type_are_read_without_errors(tmp_path: Path, pair: tuple[str, str]) -> None:
    task, partner = pair
    write_synthetic(config(list(pair), conflicting={task: partner}), tmp_path / "set", 1)
    dataset = load_dataset(data_config(tmp_path / "set", tmp_path / "cache", catalogue_names=True))
    assert {name: len(samples) for name, samples in dataset.by_task.items()} == dict.fromkeys(pair, 20)
    assert (dataset.skipped, dataset.warnings) == ((), ())
    assert find_overlaps(dataset) == []


def test_a_task_has_its_configured_number_of_images() -> None:
    synthetic = config(samples_of={"thyroid_nodule": 33}, related={"thyroid_nodule": "breast_lesion"})
    assert {task: len(uses_of(synthetic, task)) for task in PAIR} == {"breast_lesion": 20, "thyroid_nodule": 33}
    fewer = uses_of(config(related={"thyroid_nodule": "breast_lesion"}), "thyroid_nodule")
    assert set(fewer) < set(uses_of(synthetic, "thyroid_nodule"))


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"related": {"thyroid_nodul": "breast_lesion"}}, "related: unknown 'thyroid_nodul', did you mean"),
        ({"conflicting": {"thyroid_nodule": "breast"}}, "conflicting: unknown 'breast', did you mean"),
        ({"related": {"lung": "breast_lesion"}}, "related: lung is not among data.synthetic.tasks; add it there"),
        ({"related": {"thyroid_nodule": "thyroid_nodule"}}, "the partner of thyroid_nodule is itself"),
        (
            {"related": {"thyroid_nodule": "breast_lesion"}, "conflicting": {"thyroid_nodule": "breast_lesion"}},
            "thyroid_nodule is in data.synthetic.related, too; remove it from one of them",
        ),
        (
            {"related": {"thyroid_nodule": "breast_lesion"}, "conflicting": {"breast_lesion": "thyroid_nodule"}},
            "the partner of breast_lesion is thyroid_nodule, which has a relation itself",
        ),
        ({"related": {"breast_2cls": "breast_lesion"}}, "breast_2cls .* cannot show the anatomy"),
        ({"samples_of": {"lung": 30}}, "samples_of: unknown 'lung'"),
    ],
)  # fmt: skip
def test_an_impossible_relation_is_refused(tmp_path: Path, planted: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        write_synthetic(config([*PAIR, "breast_2cls"], **planted), tmp_path / "set", 1)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("data.synthetic.")
    assert not (tmp_path / "set").exists()
