"""Scores as means over patients, against pandas and scikit-learn, and as the means over samples that runs store."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from tests.report.reading import material_of
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import CollectedRun, Collection, collect
from usaggr.analysis.compare_study import compare_study
from usaggr.cli.arguments import read_report_settings
from usaggr.metrics.names import METRICS
from usaggr.report import build
from usaggr.report.score_means import describe_aggregation, describe_mean
from usaggr.report.table_files import write_tables
from usaggr.report.tables import make_tables
from usaggr.results.predictions import read_predictions

TASKS = ("breast_lesion", "breast_2cls", "thyroid_nodule_det", "fetal_femur")
SIZES = (1, 9, 2, 5, 1, 3, 7, 2, 4, 1, 6, 7)
"""Test samples of each subject, 48 in total."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.5 + 0.02 * len(block) + 0.01 * seed)


def regroup(folder: Path, subject_of: Callable[[int], int], component_of: Callable[[int], int] | None = None) -> None:
    """Rewrite split.csv: the subject, and optionally the component, of each test sample of a task by its number."""
    path = folder / "split.csv"
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    numbers: dict[str, int] = {}
    for line in lines:
        number = numbers[line[0]] = numbers.get(line[0], -1) + 1
        line[header.index("subject_id")] = f"{line[0]}-{subject_of(number)}"
        if component_of is not None:
            line[header.index("component")] = str(1000 * TASKS.index(line[0]) + component_of(number))
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def unequal(sample: int) -> int:
    """Return the subject of a test sample, of subjects with SIZES samples."""
    return int(np.searchsorted(np.cumsum(SIZES), sample, "right"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished sweep whose subjects have SIZES samples."""
    sweep = FakeSweep(
        tmp_path_factory.mktemp("unequal") / "study",
        tasks=TASKS,
        groupings=("task_specific", "unified"),
        seeds=(0, 1, 2),
        spread=0.2,
        frames=4,
    ).finish(scorer)
    regroup(sweep.directory, unequal, unequal)
    return sweep.directory


@pytest.fixture(scope="module")
def by_subject(folder: Path) -> Collection:
    return collect([folder])


@pytest.fixture(scope="module")
def by_sample(folder: Path) -> Collection:
    return collect([folder], settings={"aggregate": "sample"})


def read_task(run: CollectedRun, task: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a run's predictions of a task, and the subject of each row."""
    assert run.path is not None
    table = read_predictions(run.path / "predictions.parquet")
    samples = table[table["task_id"] == task].reset_index(drop=True)
    return samples, np.array([unequal(sample) for sample in range(len(samples))])


def tables_in(folder: Path, name: str, collection: Collection) -> dict[str, bytes]:
    """Return the files of a collection's tables."""
    write_tables(make_tables(collection), folder / name)
    return {path.name: path.read_bytes() for path in sorted((folder / name).iterdir())}


def test_a_mean_over_samples_becomes_the_mean_of_the_means_of_subjects(by_subject: Collection) -> None:
    comparison = compare_study(by_subject)
    runs = {run.row.fingerprint: run for run in by_subject.runs}
    checked = set()
    for row in comparison.observations:
        if row.task != "breast_2cls":
            samples, subjects = read_task(runs[row.fingerprint], row.task)
            assert row.value == pytest.approx(samples[row.metric].groupby(subjects).mean().mean()), row.metric
            assert row.value != pytest.approx(samples[row.metric].mean(), rel=1e-6)
            checked.add(row.metric)
    assert checked == {"dsc", "hd", "hd95", "nsd", "iou", "mre", "mre_relative"}


def test_scores_of_the_whole_test_set_are_those_of_scikit_learn_with_weights(by_subject: Collection) -> None:
    runs = {run.row.fingerprint: run for run in by_subject.runs}
    checked = set()
    for row in compare_study(by_subject).observations:
        if row.task == "breast_2cls":
            samples, subjects = read_task(runs[row.fingerprint], row.task)
            labels, probabilities = samples["label"].to_numpy(dtype=int), np.stack(list(samples["probs"]))
            predicted, weights = probabilities.argmax(axis=1), 1 / np.array(SIZES)[subjects]
            oracle = {
                "auc": metrics.roc_auc_score(labels, probabilities[:, 1], sample_weight=weights),
                "accuracy": metrics.accuracy_score(labels, predicted, sample_weight=weights),
                "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted, sample_weight=weights),
                "f1_macro": metrics.f1_score(labels, predicted, average="macro", sample_weight=weights),
                "f1_weighted": metrics.f1_score(labels, predicted, average="weighted", sample_weight=weights),
                "mcc": metrics.matthews_corrcoef(labels, predicted, sample_weight=weights),
            }
            assert row.value == pytest.approx(oracle[row.metric]), row.metric
            checked.add(row.metric)
    assert checked == {"auc", "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"}


def test_differences_and_their_intervals_are_of_the_means_that_the_tables_show(by_subject: Collection) -> None:
    comparison = compare_study(by_subject)
    compared = [row for row in comparison.verdicts if not np.isnan(row.delta_low)]
    assert len(compared) == 13
    for row in compared:
        sign = -1 if row.metric in ("hd", "hd95", "mre", "mre_relative") else 1
        assert row.delta == pytest.approx(sign * (row.mean - row.reference_mean))
        assert (row.delta_low + row.delta_high) / 2 == pytest.approx(row.delta)
        table = comparison.differences[row.key].table
        assert table.shape == (3, len(SIZES))
        assert table.mean() == pytest.approx(row.delta)


def test_pseudovalues_of_a_mean_are_the_means_of_subjects(by_subject: Collection) -> None:
    run = next(run for run in by_subject.runs if "fetal_femur" in run.row.tasks)
    samples, subjects = read_task(run, "fetal_femur")
    assert run.pseudovalues is not None
    values = run.pseudovalues["fetal_femur"].metrics["mre"]
    assert values == pytest.approx(samples["mre"].groupby(subjects).mean().to_numpy())


def test_means_over_samples_are_bit_for_bit_those_of_the_runs(by_sample: Collection) -> None:
    results = {run.row.fingerprint: run.result for run in by_sample.runs}
    assert not by_sample.weighted
    for row in compare_study(by_sample).observations:
        result = results[row.fingerprint]
        assert result is not None
        assert row.value == result.scores[row.task][row.metric]


def test_tables_of_means_over_samples_do_not_depend_on_subjects_byte_for_byte(
    folder: Path, by_subject: Collection, by_sample: Collection, tmp_path: Path
) -> None:
    """Earlier versions did not read subjects at all: their tables are those of a split with one subject per sample."""
    shutil.copytree(folder, tmp_path / "study")
    regroup(tmp_path / "study", lambda sample: sample)
    earlier = collect([tmp_path / "study"])
    assert not earlier.weighted
    before, after = tables_in(tmp_path, "before", earlier), tables_in(tmp_path, "after", by_sample)
    assert before == after
    assert set(before) >= {"scores.csv", "comparison.csv", "summary.csv"}
    assert tables_in(tmp_path, "default", by_subject)["comparison.csv"] != before["comparison.csv"]


@pytest.mark.parametrize("frames", [1, 3])
def test_subjects_with_equally_many_samples_give_the_same_tables_byte_for_byte(tmp_path: Path, frames: int) -> None:
    sweep = FakeSweep(
        tmp_path / "study", tasks=TASKS, groupings=("task_specific", "unified"), seeds=(0, 1), spread=0.2, frames=frames
    ).finish(scorer)
    tables = [
        tables_in(tmp_path, unit, collect([sweep.directory], settings={"aggregate": unit}))
        for unit in ("subject", "sample")
    ]
    assert tables[0] == tables[1]
    assert "same number of samples" in describe_aggregation(material_of(sweep))
    assert describe_mean(material_of(sweep)) == ""


def test_subjects_of_one_component_count_singly_and_vary_together(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    regroup(tmp_path / "study", unequal, lambda sample: min(unequal(sample), 10))  # the last two subjects share one
    collection = collect([tmp_path / "study"])
    run = next(run for run in collection.runs if "breast_lesion" in run.row.tasks)
    samples, subjects = read_task(run, "breast_lesion")
    means = samples["dsc"].groupby(subjects).mean().to_numpy()
    assert run.pseudovalues is not None
    values = run.pseudovalues["breast_lesion"].metrics["dsc"]
    without = np.array([np.delete(means, [i] if i < 10 else [10, 11]).mean() for i in range(11)])
    assert values == pytest.approx(means.mean() + 10 * (without.mean() - without))
    assert values.mean() == pytest.approx(means.mean())


def test_a_sample_without_a_subject_is_its_own(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    path = tmp_path / "study" / "split.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line.replace(line.split(",")[3], "", 1) for line in lines[1:])]) + "\n")
    assert not collect([tmp_path / "study"]).weighted


def test_a_task_with_a_run_without_predictions_is_compared_by_means_over_samples(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    run = next(run for run in collect([folder]).runs if run.row.tasks == ("breast_lesion",))
    assert run.path is not None
    (tmp_path / "study" / "runs" / run.path.name / "predictions.parquet").unlink()
    sweep = FakeSweep(tmp_path / "study")
    material = material_of(sweep)
    assert material.collection.weighted == set(TASKS) - {"breast_lesion"}
    stored = {run.row.fingerprint: run.result for run in material.collection.runs}
    for row in material.comparison.observations:
        result = stored[row.fingerprint]
        assert result is not None
        is_stored = row.value == result.scores[row.task][row.metric]
        assert is_stored == (row.task == "breast_lesion")
    for sentence in (describe_mean(material), describe_aggregation(material)):
        assert "scores of breast_lesion are means over samples" in sentence


def test_skill_is_relative_to_the_trivial_score_of_the_same_mean(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=TASKS, groupings=("unified",), seeds=(0, 1), spread=0.2, frames=4)
    sweep.write_plan()
    by_subject = {task: {m.name: 0.2 if m.best else 300.0 for m in METRICS[CATALOGUE[task].type]} for task in TASKS}
    for run, _ in sweep.runs():
        scores = {task: scorer(task, run.tasks, run.scale, run.seed) for task in run.tasks}
        sweep.write_run(run, scores, trivial_by_subject=by_subject if run.seed else {})
    regroup(sweep.directory, unequal)
    material = material_of(sweep)
    for row in material.comparison.observations:
        best = 1.0 if row.higher_is_better else 0.0
        stored, aggregated = (0.4, 0.2) if row.higher_is_better else (100.0, 300.0)
        assert row.trivial == (aggregated if row.seed else stored)
        assert row.skill == pytest.approx((row.value - row.trivial) / (best - row.trivial))
    for row in compare_study(collect([sweep.directory], settings={"aggregate": "sample"})).observations:
        assert row.trivial == (0.4 if row.higher_is_better else 100.0)
    # The runs of seed 0 are as of an older version. The AUC of a constant answer is the same with any weights.
    names = "breast_lesion, fetal_femur and thyroid_nodule_det"
    assert f"trivial predictor's scores of {names} are means over samples" in describe_aggregation(material)


def test_the_command_builds_a_report_of_means_over_samples(
    folder: Path, tmp_path: Path, by_sample: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "write_figures", lambda tables, folder: folder.mkdir() or ())
    shutil.copytree(folder, tmp_path / "study")
    page = (build.build_report([tmp_path / "study"]) / "report.md").read_text()
    assert "A score is the mean over test subjects (patients or videos)" in page
    assert "(AUC, balanced accuracy, macro F1, weighted F1, MCC), each sample has the weight 1 / number" in page
    assert page.count("A score is a mean over test subjects, each of which counts once.") == 2  # under two tables
    settings = read_report_settings(["report.aggregate=sample"])
    report = build.build_report([tmp_path / "study"], settings=settings)
    page = (report / "report.md").read_text()
    assert "so that a patient or video counts by the number of its samples" in page
    assert "in place of those of the study: report.aggregate=sample" in page
    expected = tables_in(tmp_path, "expected", by_sample)["comparison.csv"]
    assert (report / "tables" / "comparison.csv").read_bytes() == expected


def test_a_study_without_the_key_is_compared_by_subjects_and_one_with_it_as_it_says(tmp_path: Path) -> None:
    for unit in ("subject", "sample", None):
        report = {} if unit is None else {"report": {"aggregate": unit}}
        sweep = FakeSweep(tmp_path / str(unit), tasks=("fetal_femur",), spread=0.2, frames=4, settings=report)
        sweep.write_plan()
        regroup(sweep.directory, unequal)
        assert collect([sweep.directory]).weighted == (set() if unit == "sample" else {"fetal_femur"})
