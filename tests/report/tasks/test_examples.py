"""Pictures of test samples from a finished sweep on tiny data, and the reasons if there are none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.factories import data_config, disc, noise, tiny_data, write_image
from tests.report.sweeps import FakeSweep, by_task, level
from usaggr.analysis.collect import Collection, collect
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset, Sample
from usaggr.report.tables import make_tables
from usaggr.report.tasks import examples
from usaggr.report.tasks.examples import Examples, make_file_names, write_examples
from usaggr.results.predictions import encode_mask, write_predictions
from usaggr.results.spec import RunSpec

Skill = Callable[[RunSpec, Sample, int], float]
"""Quality of a prediction, from 0 to 1, by run, sample, and the number of the sample in its task."""
TASKS = ("cls", "det", "reg", "seg")


def usual(run: RunSpec, sample: Sample, number: int) -> float:
    """Let sharing gain most on the first sample of a task and lose most on the last; seed 1 is slightly better."""
    shared = len(run.tasks) > 1
    return 0.5 + 0.01 * run.seed + (0.2 - 0.1 * number if shared else 0.0)


@dataclass
class Study:
    """A finished sweep that tests on all of the tiny data."""

    sweep: FakeSweep
    dataset: Dataset
    data: DataConfig

    @property
    def collection(self) -> Collection:
        return collect([self.sweep.directory])

    def draw(self, folder: Path) -> Examples:
        collection = self.collection
        return write_examples(collection, make_tables(collection), folder)

    def predictions(self, run: RunSpec) -> Path:
        return self.sweep.directory / "runs" / run.run_id / "predictions.parquet"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def make_study(
    tmp_path: Path, skill: Skill = usual, skip: Callable[[RunSpec], bool] = lambda run: False, **changes: Any
) -> Study:
    data = data_config(tiny_data(tmp_path / "data"), tmp_path / "cache")
    dataset = load_dataset(data)
    settings = {"data": {**data.model_dump(), **changes.pop("data", {})}}
    sweep = FakeSweep(
        tmp_path / "sweep",
        tasks=TASKS,
        seeds=(0, 1),
        catalogue=dataset.tasks,
        settings=settings,
        content_hash=dataset.content_hash,
        data={"root": str(dataset.root)},
        **{"groupings": ("task_specific", "unified"), **changes},
    )
    sweep.finish(lambda task, block, scale, seed: level(dataset.tasks[task], 0.5), skip)
    lines = ["task_id,sample_id,image_path,subject_id,component,fold"]
    lines += [f"{s.task_id},{s.sample_id},{s.sample_id},{i},{i},test" for i, s in enumerate(dataset.samples)]
    (sweep.directory / "split.csv").write_text("\n".join(lines) + "\n")
    study = Study(sweep, dataset, data)
    for run, _ in sweep.runs():
        if not skip(run):
            write_predictions(study.predictions(run), predicted(run, dataset, skill))
    return study


def predicted(run: RunSpec, dataset: Dataset, skill: Skill) -> list[dict[str, Any]]:
    records = []
    for task in run.tasks:
        for number, sample in enumerate(dataset.by_task[task]):
            quality = skill(run, sample, number)
            row: dict[str, Any] = {"task_id": task, "sample_id": sample.sample_id, "subject_id": sample.subject_id}
            match task:
                case "seg":
                    row |= dict.fromkeys(("dsc", "hd", "hd95", "nsd"), quality) | {"mask": encode_mask(disc())}
                case "det":
                    row |= {"iou": quality, "box": [3.0, 3.0, 18.0, 18.0]}
                case "reg":
                    row |= {"mre": 10 * (1 - quality), "mre_relative": 1 - quality, "points": [4.0, 4.0, 9.0, 9.0]}
                case _:
                    probs = [(1 - quality) / 2] * 3
                    probs[sample.label or 0] = quality
                    row |= {"accuracy": float(quality > 1 / 3), "label": sample.label, "probs": probs}
            records.append(row)
    return records


def test_every_type_of_task_has_its_largest_gain_and_loss(study: Study, tmp_path: Path) -> None:
    drawn = study.draw(tmp_path / "report" / "examples")
    assert drawn.reason is None
    assert set(drawn.tasks) == set(TASKS)
    for task, shown in drawn.tasks.items():
        samples = study.dataset.by_task[task]
        assert [picture.title for picture in shown.pictures] == [
            "Largest gain of AU compared with TS",
            "Largest loss of AU compared with TS",
        ]
        assert shown.captions[0].startswith(samples[0].sample_id)
        assert shown.captions[1].startswith(samples[-1].sample_id)
        for picture in shown.pictures:
            path = tmp_path / "report" / picture.path
            with Image.open(path) as image:
                assert image.format == "JPEG"
                assert 400 < image.width <= 900
            assert path.stat().st_size <= 60_000
    file_list = sorted(path.name for path in (tmp_path / "report" / "examples").iterdir())
    assert file_list == sorted(f"{task}-{kind}.jpg" for task in TASKS for kind in ("gain", "loss"))


def test_a_description_gives_each_panels_score(study: Study, tmp_path: Path) -> None:
    drawn = study.draw(tmp_path / "examples")
    first = study.dataset.by_task["reg"][0].sample_id
    assert drawn.tasks["reg"].pictures[0].description == (
        f"Test sample {first} of reg: the image, the truth, and the true and the predicted landmarks by TS MRE 5.0 px; "
        "AU MRE 3.0 px"
    )


def test_the_same_results_make_the_same_bytes(study: Study, tmp_path: Path) -> None:
    first, second = study.draw(tmp_path / "a" / "examples"), study.draw(tmp_path / "b" / "examples")
    assert first == second
    paths = sorted((tmp_path / "a" / "examples").iterdir())
    assert len(paths) == 2 * len(TASKS)
    for path in paths:
        assert path.read_bytes() == (tmp_path / "b" / "examples" / path.name).read_bytes()


def test_pictures_change_with_the_predictions_they_show(study: Study, tmp_path: Path) -> None:
    study.draw(tmp_path / "before")
    for run, _ in study.sweep.runs():
        records = predicted(run, study.dataset, usual)
        for row in records:
            if "mask" in row and len(run.tasks) > 1:
                row["mask"] = encode_mask(np.zeros_like(disc()))
        write_predictions(study.predictions(run), records)
    study.draw(tmp_path / "after")
    before, after = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("before", "after"))
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"seg-gain.jpg", "seg-loss.jpg"}


def test_a_reference_without_other_groupings_shows_its_best_and_its_worst_sample(tmp_path: Path) -> None:
    def by_number(run: RunSpec, sample: Sample, number: int) -> float:
        return 0.9 - 0.2 * number

    drawn = make_study(tmp_path, by_number, groupings=("task_specific",)).draw(tmp_path / "examples")
    assert set(drawn.tasks) == set(TASKS)
    for shown in drawn.tasks.values():
        assert [p.title for p in shown.pictures] == ["Best prediction of TS", "Worst prediction of TS"]


def test_groupings_with_the_same_runs_share_a_panel(tmp_path: Path) -> None:
    groupings = ("task_specific", "singles", "unified")
    study = make_study(tmp_path, groupings=groupings, partitions={"singles": by_task(TASKS)})
    drawn = study.draw(tmp_path / "examples")
    assert drawn.tasks["seg"].pictures[0].title == "Largest gain of AU compared with TS = singles"


def test_the_grouping_whose_mean_differs_most_is_compared_with_the_reference(tmp_path: Path) -> None:
    pairs = {"pairs": {"a": ("cls", "det"), "b": ("reg", "seg")}}
    level_of = {1: 0.5, 2: 0.2, 4: 0.55}

    def skill(run: RunSpec, sample: Sample, number: int) -> float:
        return level_of[len(run.tasks)] + 0.01 * number * len(run.tasks)

    groupings = ("task_specific", "pairs", "unified")
    study = make_study(tmp_path, skill, groupings=groupings, partitions=pairs)
    for run, _ in study.sweep.runs():  # the tables have the same scores as the predictions
        scores = {task: level(study.dataset.tasks[task], level_of[len(run.tasks)]) for task in run.tasks}
        study.sweep.write_run(run, scores)
    drawn = study.draw(tmp_path / "examples")
    assert {p.title for t in ("seg", "det", "reg") for p in drawn.tasks[t].pictures} == {
        "Smallest loss of pairs compared with TS",
        "Largest loss of pairs compared with TS",
    }
    assert "pairs is shown because it differs most from TS on average." in drawn.tasks["seg"].captions[0]


def test_the_largest_scale_that_both_sides_have_is_shown(tmp_path: Path) -> None:
    study = make_study(tmp_path, scales=(0.5, 1.0), skip=lambda run: run.scale == 1.0 and len(run.tasks) > 1)
    drawn = study.draw(tmp_path / "examples")
    assert drawn.tasks["seg"].pictures[0].title == "Largest gain of AU compared with TS"
    assert drawn.tasks["seg"].captions[0].endswith("with 50 % of the training samples.")


def test_a_task_without_finished_runs_has_a_reason(tmp_path: Path) -> None:
    study = make_study(tmp_path, lambda run, sample, number: 0.5, skip=lambda run: "seg" in run.tasks)
    drawn = study.draw(tmp_path / "examples")
    assert drawn.tasks["seg"].pictures == ()
    assert drawn.tasks["seg"].reason == "no finished run of this task has predictions"
    assert [p.title for p in drawn.tasks["det"].pictures] == ["Best prediction of TS"], "all samples are equal"


def test_missing_data_are_a_reason_and_no_folder_is_made(study: Study, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    drawn = study.draw(tmp_path / "examples")
    assert drawn == Examples(f"the data are no longer at {tmp_path / 'data'}")
    assert not (tmp_path / "examples").exists()


def test_changed_data_are_a_reason(study: Study, tmp_path: Path) -> None:
    write_image(study.dataset.by_task["det"][0].image_path, noise(77))
    drawn = study.draw(tmp_path / "examples")
    assert drawn == Examples(f"the data at {study.dataset.root} have changed since the runs were trained")


def test_damaged_data_are_a_reason(study: Study, tmp_path: Path) -> None:
    study.dataset.by_task["det"][0].image_path.unlink()
    drawn = study.draw(tmp_path / "examples")
    assert drawn.reason is not None
    assert "1 error in the index" in drawn.reason
    assert "\n" not in drawn.reason
    assert not drawn.reason.endswith((":", ".")), "the reason is inserted into a sentence"


def test_a_study_of_another_version_is_a_reason(tmp_path: Path) -> None:
    drawn = make_study(tmp_path, data={"channels": 2}).draw(tmp_path / "examples")
    assert drawn.reason is not None
    assert drawn.reason.startswith("study.yaml's data.channels is not valid in this version")


def test_a_large_data_set_is_not_read_again_for_pictures(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "MAX_NEW_FILES", 5)
    assert study.draw(tmp_path / "warm" / "examples").reason is None, "cached files are not read again"
    for path in (tmp_path / "cache").glob("files-*"):
        path.unlink()
    drawn = study.draw(tmp_path / "cold" / "examples")
    assert drawn.reason is not None
    assert "20 files of the data set would have to be read again" in drawn.reason


def test_synthetic_images_are_read_from_their_files_and_not_made_again(tmp_path: Path) -> None:
    study = make_study(tmp_path, data={"name": "synthetic", "root": None})
    assert study.draw(tmp_path / "examples").reason is None
    assert not (tmp_path / "cache" / "synthetic").exists()


def test_a_damaged_prediction_leaves_only_its_task_without_pictures(study: Study, tmp_path: Path) -> None:
    for run, _ in study.sweep.runs():
        if run.tasks == ("seg",):
            records = predicted(run, study.dataset, usual)
            write_predictions(study.predictions(run), [row | {"mask": b"no picture"} for row in records])
    drawn = study.draw(tmp_path / "examples")
    assert drawn.tasks["seg"].pictures == ()
    assert "not the PNG of a mask" in (drawn.tasks["seg"].reason or "")
    assert all(len(drawn.tasks[task].pictures) == 2 for task in ("cls", "det", "reg"))


def test_predictions_that_become_unreadable_after_collection_are_a_reason(study: Study, tmp_path: Path) -> None:
    collection = study.collection
    tables = make_tables(collection)
    path = next(study.predictions(run) for run, _ in study.sweep.runs() if run.tasks == ("reg",) and run.seed == 0)
    path.write_bytes(path.read_bytes()[:-100])
    drawn = write_examples(collection, tables, tmp_path / "examples")
    assert drawn.tasks["reg"].pictures == ()
    assert "cannot be read" in (drawn.tasks["reg"].reason or "")
    assert len(drawn.tasks["seg"].pictures) == 2


def test_a_picture_that_cannot_be_written_is_an_error(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        study.draw(tmp_path / "file" / "examples")


def test_file_names_are_safe_and_distinct() -> None:
    names = list(make_file_names(["a/b", "a_b", "A_b", "..", "x" * 300, "x" * 301]))
    assert names[:3] == ["a_b", "a_b-2", "A_b-3"]
    assert len({name.lower() for name in names}) == len(names)
    assert all(name.replace("-", "").replace("_", "").isalnum() or name == "_" for name in names)
    assert max(map(len, names)) < 100


def test_a_sweep_without_finished_runs_has_only_reasons(tmp_path: Path) -> None:
    drawn = make_study(tmp_path, skip=lambda run: True).draw(tmp_path / "examples")
    assert drawn.reason is None
    assert set(drawn.tasks) == set(TASKS)
    assert all(shown.reason and not shown.pictures for shown in drawn.tasks.values())


def test_only_the_base_variant_is_shown(tmp_path: Path) -> None:
    variants: dict[str, list[str]] = {"other": ["training.learning_rate=1"], "base": []}
    study = make_study(tmp_path, variants=variants, skip=lambda run: run.variant == "base" and len(run.tasks) > 1)
    assert study.draw(tmp_path / "examples").tasks["seg"].pictures[0].title == "Best prediction of TS"


def test_a_data_root_without_an_index_is_a_reason(study: Study, tmp_path: Path) -> None:
    collection = study.collection
    elsewhere = replace(collection, data=replace(collection.data, root=str(tmp_path / "cache")))
    drawn = write_examples(elsewhere, make_tables(collection), tmp_path / "examples")
    assert "csv_files/ is missing here" in (drawn.reason or "")
