"""A key without effect in the chosen combination is named: an error on the command line, a note in a study's file."""

from pathlib import Path

import pytest

from tests.config.study_files import write
from usaggr.config.compose import compose_study
from usaggr.config.section import walk_leaf_keys
from usaggr.config.study import StudyConfig
from usaggr.config.unused_keys import (
    ALWAYS_USED,
    RULES,
    PlannedTasks,
    check_unused_keys,
    explain_merged_mappings,
    find_rule,
)
from usaggr.errors import ConfigError

BOXES = PlannedTasks(frozenset({"detection"}), has_shared_models=False)
ALL_TYPES = PlannedTasks(
    frozenset({"segmentation", "classification", "detection", "regression"}), has_shared_models=True
)


def test_each_key_of_the_schema_declares_where_it_has_an_effect() -> None:
    keys = {name for name, _ in walk_leaf_keys(StudyConfig, "")}
    by_rule = {key for key in keys if find_rule(key) is not None}
    undeclared = sorted(keys - by_rule - ALWAYS_USED)
    assert undeclared == [], "add these keys to ALWAYS_USED or to a rule in usaggr/config/unused_keys.py"
    assert sorted(by_rule & ALWAYS_USED) == []
    assert sorted(ALWAYS_USED - keys) == [], "the schema does not have these keys"
    in_rules = [key for rule in RULES for key in rule.keys]
    assert sorted(set(in_rules) - keys) == [], "the schema does not have these keys"
    assert len(in_rules) == len(set(in_rules))


# Override, further overrides with which it has no effect, those with which it has one, and the start of the reason.
CASES: list[tuple[str, str, str, str]] = [
    ("data.root=DIR", "", "data=fmuia", "with data=synthetic, which draws phantoms and reads no folder; add data="),
    ("data.on_bad_sample=skip", "", "data=fmuia data.root=DIR", "with data=synthetic, whose phantoms are always valid"),
    ("data.allow_empty_masks=true", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.foreground_255=true", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.subject_patterns={lung: x}", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.split.conflict=drop_train", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.bit_depth=12", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.exif_orientation=apply", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.transparency=black", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.follow_links=true", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.max_pixels=100", "", "data=fmuia data.root=DIR", "with data=synthetic"),
    ("data.synthetic.tasks=[lung]", "data=fmuia data.root=DIR", "", "with data=fmuia, which reads the folder DIR"),
    ("data.synthetic.frames_per_subject=2", "data=fmuia data.root=DIR", "", "with data=fmuia"),
    ("data.synthetic.seed=2", "data=fmuia data.root=DIR", "", "with data=fmuia"),
    ("data.synthetic.samples_of.lung=20", "data=fmuia data.root=DIR", "", "with data=fmuia"),
    ("data.synthetic={related: {lung: FUGC}}", "data=fmuia data.root=DIR", "", "with data=fmuia"),
    ("data.synthetic.conflicting={lung: FUGC}", "data=fmuia data.root=DIR", "", "with data=fmuia"),
    (
        "data.synthetic.samples_per_task=30", "data.synthetic.tasks=[lung] data.synthetic.samples_of={lung: 20}", "",
        "unless data=synthetic draws a task that is not in data.synthetic.samples_of",
    ),
    ("data.subset=fixed", "scale=full", "scale=two", "with scales=[1.0], which takes all training samples"),
    (
        "model.conditioned_blocks=[1,2]", "model=m2dino_tiny model.conditioning=none", "model=m2dino_tiny",
        "with model.conditioning=none",
    ),
    (
        "model.experts.count=3", "model=m2dino_tiny model.conditioning=lora", "model=m2dino_tiny",
        "with model.conditioning=lora; add model.conditioning=experts",
    ),
    ("model.experts.top_k=1", "model=m2dino_tiny model.conditioning=film", "model=m2dino_tiny", "with model.condit"),
    ("model.experts.router=token", "model=m2dino_tiny model.conditioning=none", "model=m2dino_tiny", "with model.c"),
    ("model.experts.noise=0.1", "model=m2dino_tiny model.conditioning=none", "model=m2dino_tiny", "with model.cond"),
    (
        "model.experts.task_channels=8", "model=m2dino_tiny model.experts.router=token", "model=m2dino_tiny",
        "unless model.conditioning=experts and model.experts.router=task",
    ),
    (
        "model.experts.balance=0.1",
        "model=m2dino_tiny model.experts.router=uniform model.experts.top_k=4 model.experts.noise=0.1",
        "model=m2dino_tiny", "unless model.conditioning=experts and model.experts.router is task or token",
    ),
    ("model.lora_rank=4", "model=m2dino_tiny", "model=m2dino_tiny model.conditioning=lora", "with model.conditioning="),
    ("model.landmarks=direct", "tasks", "", "without a landmark task (task type regression)"),
    ("model.dropout=0.1", "tasks", "", "without a classification task"),
    ("training.encoder_learning_rate=1e-4", "model.freeze=encoder", "", "with model.freeze=encoder"),
    (
        "training.encoder_learning_rate=1e-4", "model=m2dino_tiny model.freeze=backbone model.conditioning=none",
        "model=m2dino_tiny model.freeze=backbone", "with model.freeze=backbone",
    ),
    ("training.score_weights=best", "training.validations=1", "", "with training.validations=1"),
    ("training.balancing=uncertainty", "tasks", "", "because no planned model has several tasks"),
    ("training.sampling=sqrt", "tasks", "", "because no planned model has several tasks"),
    ("training.segmentation_loss=dice", "tasks", "", "without a segmentation task"),
    ("metrics.nsd_tolerance=0.01", "tasks", "", "without a segmentation task"),
    ("report.relative_margin=0.2", "tasks", "", "without a segmentation or landmark task"),
    (
        "report.family=study", "groupings=[task_specific,unified] scales=[1.0] variants={base:[]}", "scales=[0.5,1.0]",
        "with two groupings, one scale and one variant",
    ),
    ("executor.runs_per_device=2", "training.accelerator=cpu", "", "without GPUs"),
    ("executor.runs_per_device=2", "executor=slurm executor.gpus=0", "executor=slurm executor.gpus=1", "without GPUs"),
]  # fmt: skip


def split(overrides: str) -> list[str]:
    """Divide at spaces, but not after a colon, as in {lung: 20}."""
    return overrides.replace(": ", ":\0").split(" ") if overrides else []


@pytest.mark.parametrize(("override", "without", "with_effect", "reason"), CASES)
def test_a_key_of_the_command_line_without_effect_is_refused(
    override: str, without: str, with_effect: str, reason: str
) -> None:
    unused_tasks, used_tasks = (BOXES, ALL_TYPES) if without == "tasks" else (None, None)
    words = [word.replace("\0", " ") for word in split("" if without == "tasks" else without)]
    with pytest.raises(ConfigError) as error:
        check_unused_keys(compose_study("demo", [*words, override]), unused_tasks)
    message = str(error.value)
    assert message.startswith(override.split("=")[0])
    assert f" has no effect {reason}" in message
    words = [word.replace("\0", " ") for word in split(with_effect)]
    assert check_unused_keys(compose_study("demo", [*words, override]), used_tasks) == []


def test_each_key_with_a_rule_has_a_case() -> None:
    tested = {override.split("=")[0] for override, _, _, _ in CASES} | {"data.synthetic.related"}
    for key in (key for rule in RULES for key in rule.keys):
        assert any(name == key or name.startswith(f"{key}.") for name in tested), key


@pytest.mark.parametrize("override", ["data.root=null", "training.balancing=equal", "model.landmarks=direct"])
def test_an_override_that_sets_nothing_or_that_the_tasks_decide_is_accepted(override: str) -> None:
    assert check_unused_keys(compose_study("demo", [override])) == []


def test_a_key_with_an_effect_in_one_variant_is_accepted() -> None:
    variants = """variants.low=["model.conditioning=lora"]"""
    study = compose_study("demo", ["model=m2dino_tiny", "model.lora_rank=4", variants])
    assert check_unused_keys(study) == []


def test_a_variant_that_changes_a_key_without_effect_is_refused() -> None:
    study = compose_study("demo", ["model=m2dino_tiny", """variants.low=["model.lora_rank=4"]"""])
    with pytest.raises(ConfigError, match=r"^variants\.low: model\.lora_rank has no effect with model\.conditioning="):
        check_unused_keys(study)


def test_a_key_of_the_studys_file_without_effect_gives_a_note(empty: Path) -> None:
    path = write(empty / "mine.yaml", "defaults: [sweep, _self_]\ndata: {root: somewhere}\n")
    (note,) = check_unused_keys(compose_study(str(path)))
    assert note.startswith("data.root (mine.yaml) has no effect with data=synthetic")


def test_a_key_of_the_studys_file_waits_for_the_choice_that_the_command_line_replaces() -> None:
    study = compose_study("demo", ["data=fmuia", "data.root=DIR"])
    assert study.data.synthetic.samples_per_task == 240, "demo.yaml sets it"
    assert check_unused_keys(study) == []


@pytest.mark.parametrize(
    "study", ["balancing", "controls", "demo", "demo_m2dino", "m2dino_ablation", "own", "paper", "peers", "staged"]
)
def test_shipped_studies_have_no_key_without_effect(study: str) -> None:
    assert check_unused_keys(compose_study(study, ["data=fmuia", "data.root=DIR"])) == []
    assert check_unused_keys(compose_study(study, ["data=fmuia", "data.root=DIR"]), ALL_TYPES) == []


def test_a_mapping_names_the_entries_that_hydra_keeps() -> None:
    study = compose_study("balancing", ["variants={base: []}"])
    assert explain_merged_mappings(study) == [
        "variants={...}: Hydra merges mappings, so uncertainty, pcgrad, upgrad, proportional, sqrt from the study's "
        "files stay too; to remove an entry, add '~variants.uncertainty'"
    ]
    assert list(study.variants)[1:] == ["uncertainty", "pcgrad", "upgrad", "proportional", "sqrt"]
    assert explain_merged_mappings(compose_study("demo", ["variants={base: []}"])) == []
    assert explain_merged_mappings(compose_study("demo", ["training.augment={rotate: 1}"])) == []
