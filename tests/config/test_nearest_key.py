"""A misspelled key is reported with the key that was meant, from the command line, a study's file and a report."""

from pathlib import Path

import pytest

from tests.config.study_files import refusal, write
from usaggr.cli.arguments import read_report_settings
from usaggr.config.json_schema import read_schema
from usaggr.config.nearest_key import find_nearest_key
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("trainng", "training"),
        ("trainig.learning_rate", "training.learning_rate"),
        ("trainig.learning_rte", "training.learning_rate"),
        ("dat.synthtic.sed", "data.synthetic.seed"),
        ("data.imgae_size", "data.image_size"),
        ("report.marign", "report.margin"),
        ("executer.jobs", "executor.jobs"),
        ("executor.max_job", "executor.jobs"),
        ("trainig.epochs", "training.budget"),  # its example is "20 epochs"
        ("trainig.lr", "training"),
        ("image_siz", "data.image_size"),
        ("optimizer.learning_rate", "training.learning_rate"),
        ("training.seeds", "seeds"),
        ("batch", "training.batch_size"),
        ("training.task_weigths.LUNG", "training.task_weights.LUNG"),
        ("dat.class_nmaes.LUNG", "data.class_names.LUNG"),
        ("variant.slow", "variants.slow"),
        ("training.task_weigths.LUNG.x", "training.task_weights.LUNG"),
        ("reportmargin", "report.margin"),
        ("report-margin", "report.margin"),
        ("training_learning_rate", "training.learning_rate"),
        ("foo.bar", None),
        ("hydra.run.dir", None),
        ("training.lr", None),
        ("sweep.x", None),
        ("", None),
        ("..", None),
    ],
)
def test_the_nearest_key_is_found_in_its_section_first(key: str, nearest: str | None) -> None:
    assert find_nearest_key(key, read_schema(StudyConfig)) == nearest


def test_overrides_files_and_reports_name_the_nearest_key(empty: Path) -> None:
    path = write(empty / "mine.yaml", "defaults: [sweep, _self_]\ntrainig: {epochs: 2}\n")
    assert refusal("trainig.epochs=2").startswith("trainig.epochs: unknown key, did you mean 'training.budget'?")
    assert refusal("training.task_weigths.LUNG=2").startswith(
        "training.task_weigths.LUNG: unknown key, did you mean 'training.task_weights.LUNG'?"
    )
    assert refusal(study=str(path)).startswith("trainig (mine.yaml): unknown key, did you mean 'training'?")
    with pytest.raises(ConfigError, match=r"^report\.marign: unknown key, did you mean 'report\.margin'\? "):
        read_report_settings(["report.marign=0.05"])
