"""Tests of finished runs of a version with fewer metrics: they stay finished, and the report names what is missing."""

from pathlib import Path

from pyarrow import parquet

from tests.report.reading import simple
from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import collect
from usaggr.document.elements import Paragraph, Section
from usaggr.metrics.names import METRICS
from usaggr.report.material import Material
from usaggr.report.tables import make_tables
from usaggr.report.what_was_run.chapter import write_run


def without_nsd(path: Path) -> None:
    """Rewrite a run's predictions as a version without this metric would have."""
    parquet.write_table(parquet.read_table(path).drop_columns(["nsd"]), path)


def test_runs_without_a_metric_stay_done_and_are_named_with_what_to_do(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=("breast_lesion",), groupings=("unified",), seeds=(0, 1), spread=0.1)
    sweep.write_plan()
    for run, _ in sweep.runs():
        scores = simple("breast_lesion", run.tasks, run.scale, run.seed)
        directory = sweep.write_run(run, {"breast_lesion": scores})
        if run.seed == 0:
            without_nsd(directory.predictions_path)
            old = {"breast_lesion": {name: value for name, value in scores.items() if name != "nsd"}}
            directory.write_result(sweep.result(run, old, trivial=old))
    collection = collect([sweep.directory])
    assert [(run.state, run.error) for run in collection.runs] == [("done", None)] * 2
    values = [set(run.pseudovalues["breast_lesion"].metrics) for run in collection.runs if run.pseudovalues is not None]
    every = {metric.name for metric in METRICS["segmentation"]}
    assert values == [every - {"nsd"}, every]
    chapter = write_run(Material(make_tables(collection)))
    assert chapter is not None
    (section,) = [child for child in chapter.sections if child.title == "Runs without all metrics"]
    assert text_of(section) == (
        f"1 finished run lacks NSD, which this version computes: {collection.runs[0].row.run_id}. No command scores "
        "stored predictions again, and the runs keep their other scores; remove their folders, and the same "
        "`usaggr sweep` trains them again with all metrics."
    )


def text_of(section: Section) -> str:
    return " ".join(block.text.replace("\\", "") for block in section.blocks if isinstance(block, Paragraph))
