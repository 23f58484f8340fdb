"""Each mistake in the configuration of a study is reported in one line, which names key, file and allowed values."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.config.study_files import refusal, write
from usaggr.config.compose import compose_study, read_grouping
from usaggr.errors import ConfigError

pytestmark = pytest.mark.usefixtures("composed_by_hydra")

TOP = (
    "name, outputs, groupings, reference, scales, seeds, tasks, variants, data, model, training, metrics, executor, "
    "report, logger"
)
TRAINING = (
    "budget, min_examples, batch_size, learning_rate, encoder_learning_rate, weight_decay, warmup, gradient_clip, "
    "task_weights, balancing, sampling, segmentation_loss, score_weights, validations, checkpoint, keep_weights, "
    "precision, accelerator, resident, channels_last, compile, augment"
)

MISSPELLED = f"unknown key, did you mean 'training.learning_rate'? Allowed in training: {TRAINING}"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "training.learning_rte=1",
            f"training.learning_rte: {MISSPELLED}",
        ),
        (
            "+training.learning_rte=1",
            f"training.learning_rte: {MISSPELLED}",
        ),
        (
            "~training.learning_rte",
            f"training.learning_rte: {MISSPELLED}",
        ),
        (
            "learning_rate=1",
            f"learning_rate: unknown key, did you mean 'training.learning_rate'? Allowed at the top: {TOP}",
        ),
        ("+foo.bar=1", f"foo.bar: unknown key. Allowed at the top: {TOP}"),
        ("grouping=clinical", f"grouping: unknown key, did you mean 'groupings'? Allowed at the top: {TOP}"),
        ("hydra.run.dir=x", f"hydra.run.dir: unknown key. Allowed at the top: {TOP}"),
        ("seeds.x=1", "seeds.x: unknown key; seeds is a value and has no keys of its own"),
        (
            "model=tinny",
            "model: unknown 'tinny', did you mean 'tiny'? Allowed: m2dino, m2dino_small, m2dino_tiny, mh_mtl, tiny",
        ),
        ("data=_base", "data: unknown '_base'. Allowed: fmuia, own_coco, own_folders, synthetic"),
        ("scale=0.5", "scale: unknown '0.5'. Allowed: full, ladder, two"),
        ("training={budget:3}", "training: unknown '{budget:3}'. Allowed: default, quick"),
        ("~model", "'~model': a study always has one model, chosen as in model=m2dino"),
        ("+model=tiny", "'+model=tiny': a study always has one model, chosen as in model=m2dino"),
        ("model@x=tiny", "'model@x=tiny': a study always has one model, chosen as in model=m2dino"),
        ("seeds@x=1", "'seeds@x=1': '@' is only for groups of files, and seeds is a key"),
        ("seeds=1,2", "seeds must be a list in brackets: seeds=[1,2]; got 'seeds=1,2'"),
        ("tasks=lung,FUGC", "tasks must be a list in brackets: tasks=[lung,FUGC]; got 'tasks=lung,FUGC'"),
        ("seeds=range(0,3)", "seeds must be a list in brackets: seeds=[...]; got 'seeds=range(0,3)'"),
        ("model=tiny,mh_mtl", "model takes one value; got 'tiny,mh_mtl'. To compare several values, use variants"),
        (
            "training.learning_rate=1e-3,1e-4",
            "training.learning_rate takes one value; got '1e-3,1e-4'. To compare several values, use variants",
        ),
        ("=3", "'=3': an override needs a key, as in seeds=[0,1]"),
        ("seeds=3", "seeds must be a non-empty list, each item a whole number of at least 0; got 3"),
        ("~seeds", "seeds is missing; it must be a non-empty list, each item a whole number of at least 0"),
        ("training.learning_rate=fast", "training.learning_rate must be a number above 0; got 'fast'"),
        ("model.norm=grup", "model.norm: unknown 'grup', did you mean 'group'? Allowed: batch, frozen, group"),
        ("data=fmuia", "data.root must be the folder that holds csv_files/, as in data.root=DIR"),
        ("data.root=???", "data.root needs a value in place of ???"),
        (
            "groupings=[task_specific,clinicl]",
            "groupings: unknown 'clinicl', did you mean 'clinical'? "
            "Allowed: clinical, image_source, organ, random, staged_clinical, staged_task, staged_task_extra, "
            "staged_task_frozen, staged_type, task_specific, task_type, unified",
        ),
        ("reference=x", "reference: unknown 'x'. Allowed: clinical, task_specific, unified"),
        ("model.dropout=${model.foo}", "model.dropout: Interpolation key 'model.foo' not found"),
        (
            "training.augment={rotte:1}",
            "training.augment.rotte: unknown key, did you mean 'training.augment.rotate'? "
            "Allowed in training.augment: rotate, scale, translate, gain, offset, gamma",
        ),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_gives_one_line(override: str, expected: str) -> None:
    assert refusal(override) == expected


def test_an_override_outside_the_grammar_is_shown_with_a_remedy() -> None:
    message = refusal("variants.slow=[a=1]")
    assert message.startswith(
        "'variants.slow=[a=1]' is not in Hydra's grammar (key=value): put text that contains '=' or spaces in quotes, "
        """as in 'variants.slow=["training.learning_rate=1e-3"]' (no viable alternative at input"""
    )
    assert "\n" not in message


def test_a_mistake_in_a_mapping_on_the_command_line_names_no_file() -> None:
    assert refusal("executor=slurm", "executor.options={mem: 4}").startswith("executor.options must be options without")


def test_an_unknown_synthetic_task_lists_the_catalogue() -> None:
    message = refusal("data.synthetic.tasks=[lungs]")
    assert message.startswith(
        "data.synthetic.tasks: unknown 'lungs', did you mean 'lung'? Allowed: FUGC, IUGC, breast_2cls"
    )


def test_an_unknown_study_lists_the_existing_ones(empty: Path) -> None:
    write(empty / "sweeps" / "mine.yaml", "defaults: [sweep, _self_]\n")
    message = refusal(study="demmo")
    assert message.startswith("study: unknown 'demmo', did you mean 'demo'? Allowed: ")
    assert "mine" in message.partition("Allowed: ")[2].split(", ")
    assert refusal(study="nowhere/x.yaml") == "study: file nowhere/x.yaml does not exist"


def test_a_missing_folder_is_refused(empty: Path) -> None:
    assert refusal(config_dir=empty / "nix") == f"--config-dir: folder {empty / 'nix'} does not exist"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["training: {learning_rte: 1}"], "training.learning_rte (mine.yaml): unknown key, did you mean"),
        (["sedes: [1]"], "sedes (mine.yaml): unknown key, did you mean 'seeds'? Allowed at the top: name, outputs"),
        (["seeds: 3"], "seeds (mine.yaml) must be a non-empty list, each item a whole number of at least 0; got 3"),
        (["seeds: [0, x]"], "seeds[1] (mine.yaml) must be a whole number of at least 0; got 'x'"),
        (["model: {norm: grup}"], "model.norm (mine.yaml): unknown 'grup', did you mean 'group'?"),
        (["model: {dropout: ${nix}}"], "mine.yaml, line 2, column 19: not valid YAML: "),
        (["model:", "  dropout: ${nix}"], "model.dropout: Interpolation key 'nix' not found"),
        (["seeds: [0", "tasks: null"], "mine.yaml, line 3, column 6: not valid YAML: "),
        (["seeds: [0]", "seeds: [1]"], "mine.yaml, line 3, column 1: not valid YAML: while constructing a mapping"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_names_the_file(empty: Path, lines: Sequence[str], expected: str) -> None:
    path = write(empty / "mine.yaml", "\n".join(["defaults: [sweep, _self_]", *lines, ""]))
    message = refusal(study=str(path))
    assert message.startswith(expected)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ("[sweep, override /model: tinny]", "model (in the defaults of mine): unknown 'tinny', did you mean 'tiny'?"),
        ("[sweep, override /modell: tiny]", "mine: cannot be composed: In 'mine': Could not override 'modell'."),
        ("[sweeep]", "mine: its defaults name sweeep, which is in none of the folders "),
        ("3", "mine: cannot be composed: "),
    ],
)
def test_a_mistake_in_a_defaults_list_gives_one_line(empty: Path, defaults: str, expected: str) -> None:
    message = refusal(study=str(write(empty / "mine.yaml", f"defaults: {defaults}\n")))
    assert message.startswith(expected)
    assert "\n" not in message


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n"])
def test_a_file_that_is_not_a_mapping_is_refused_in_one_line(empty: Path, text: str) -> None:
    message = refusal(study=str(write(empty / "mine.yaml", text)))
    assert message.startswith("mine")
    assert "\n" not in message


def test_a_grouping_that_is_not_yaml_names_line_and_column(empty: Path) -> None:
    write(empty / "conf" / "grouping" / "mine.yaml", "blocks:\n  a: [lung\n")
    with pytest.raises(ConfigError, match=r"conf/grouping/mine\.yaml, line 3, column 1: not valid YAML"):
        read_grouping("mine", compose_study("demo"))
    write(empty / "conf" / "grouping" / "mine.yaml", "- lung\n")
    with pytest.raises(
        ConfigError, match=r"conf/grouping/mine\.yaml must hold a mapping from keys to values, not a list"
    ):
        read_grouping("mine", compose_study("demo"))
