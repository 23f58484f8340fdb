"""Tests of composing a study: folders, names, variants, sources, and one line per mistake."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.config.compose import apply_variant, compose_study, describe_study, describe_values, read_grouping
from usaggr.config.overrides import quote
from usaggr.config.study import StudyConfig
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


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(*overrides: str, study: str = "demo", config_dir: Path | None = None) -> str:
    """Return the message of the error that composing a study raises."""
    with pytest.raises(ConfigError) as error:
        compose_study(study, overrides, config_dir)
    return str(error.value)


# Values


@pytest.mark.usefixtures("empty")
def test_the_default_study_composes_in_an_empty_folder() -> None:
    study = compose_study()
    assert study.name == "demo"
    assert study.data.name == "synthetic"
    assert study.groupings == ["task_specific", "clinical", "unified"]
    assert study.directory == Path("outputs/demo")


def test_groups_and_keys_are_overridden_with_hydras_grammar() -> None:
    overrides = ["data=fmuia", "data.root=DIR", "data.image_size=96", "seeds=[0,1]", "model=mh_mtl", "scale=ladder"]
    study = compose_study("demo", overrides)
    assert (study.data.name, study.data.root, study.data.image_size) == ("fmuia", "DIR", 96)
    assert study.seeds == [0, 1]
    assert study.model.encoder == "efficientnet-b4"
    assert study.scales == [0.1, 0.25, 0.5, 1.0]


def test_scales_may_be_given_directly() -> None:
    assert compose_study("demo", ["scale=ladder", "scales=[0.5,1.0]"]).scales == [0.5, 1.0]
    assert compose_study("demo", ["scales=[20,50]"]).scales == [20, 50]


def test_values_may_be_interpolated_from_others() -> None:
    study = compose_study("demo", ["training.encoder_learning_rate=${training.learning_rate}"])
    assert study.training.encoder_learning_rate == study.training.learning_rate


@pytest.mark.parametrize("override", ["training.task_weights.lung=2", "+training.task_weights.lung=2"])
def test_entries_of_a_mapping_are_added_with_or_without_a_plus(override: str) -> None:
    assert compose_study("demo", [override]).training.task_weights == {"lung": 2.0}


def test_an_entry_of_a_mapping_is_deleted_with_a_tilde() -> None:
    study = compose_study("demo", ["variants.slow=['training.learning_rate=1e-4']", "~variants.base"])
    assert list(study.variants) == ["slow"]


def test_a_composed_study_is_composed_again_from_its_own_output(empty: Path) -> None:
    study = compose_study("demo", ["seeds=[7]"])
    path = write(empty / "outputs" / "demo" / "study.yaml", describe_study(study))
    assert compose_study(str(path)) == study
    assert compose_study(str(path), ["seeds=[8]"]).seeds == [8]


# Names


def test_a_study_has_the_name_of_its_file_by_default(empty: Path) -> None:
    path = write(empty / "mine.yaml", "defaults: [sweep, _self_]\n")
    assert compose_study(str(path)).name == "mine"
    assert compose_study(str(path), ["name=other"]).name == "other"
    assert compose_study(str(write(empty / "named.yaml", "defaults: [sweep, _self_]\nname: own\n"))).name == "own"


def test_other_data_on_the_command_line_change_the_name_of_the_study() -> None:
    assert compose_study("demo", ["data=fmuia", "data.root=x"]).name == "demo_fmuia"
    assert compose_study("demo", ["data=fmuia", "data.root=x", "name=mine"]).name == "mine"


def test_choosing_the_studys_own_data_keeps_its_name(empty: Path) -> None:
    assert compose_study("demo", ["data=synthetic"]).name == "demo"
    path = write(empty / "real.yaml", "defaults: [sweep, override /data: fmuia, _self_]\ndata: {root: x}\n")
    assert compose_study(str(path)).name == "real"
    assert compose_study(str(path), ["data=fmuia"]).name == "real"
    assert compose_study(str(path), ["data=synthetic"]).name == "real_synthetic"


# Folders


def test_folders_are_searched_from_the_option_to_the_current_one_to_the_packages(empty: Path) -> None:
    option = empty / "option"
    assert compose_study("demo", ["model=tiny"]).model.decoder_channels == 32
    tiny = (Path(__file__).parents[2] / "conf" / "model" / "tiny.yaml").read_text()
    write(empty / "conf" / "model" / "tiny.yaml", tiny.replace("decoder_channels: 32", "decoder_channels: 64"))
    assert compose_study("demo", ["model=tiny"]).model.decoder_channels == 64
    write(option / "model" / "tiny.yaml", tiny.replace("decoder_channels: 32", "decoder_channels: 96"))
    assert compose_study("demo", ["model=tiny"], option).model.decoder_channels == 96
    assert compose_study("demo", ["model=tiny"]).model.decoder_channels == 64


def test_studies_are_found_in_the_same_folders(empty: Path) -> None:
    write(empty / "sweeps" / "mine.yaml", "defaults: [sweep, _self_]\nseeds: [5]\n")
    write(empty / "option" / "sweeps" / "mine.yaml", "defaults: [sweep, _self_]\nseeds: [6]\n")
    assert compose_study("mine").seeds == [5]
    assert compose_study("mine", config_dir=empty / "option").seeds == [6]


def test_groupings_are_found_in_the_same_folders(empty: Path) -> None:
    write(empty / "conf" / "grouping" / "mine.yaml", "blocks: {a: [lung]}\n")
    write(empty / "option" / "grouping" / "mine.yaml", "blocks: {b: [lung]}\n")
    words = ["groupings=[task_specific,mine]"]
    assert read_grouping("mine", compose_study("demo", words)) == {"blocks": {"a": ["lung"]}}
    study = compose_study("demo", words, empty / "option")
    assert read_grouping("mine", study) == {"blocks": {"b": ["lung"]}}
    assert read_grouping("task_specific", study) == {"by": "task"}


def test_a_study_finds_its_groupings_after_the_current_folder_has_changed(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(empty / "conf" / "grouping" / "mine.yaml", "blocks: {a: [lung]}\n")
    study = compose_study("demo", ["groupings=[task_specific,mine]"])
    (empty / "elsewhere").mkdir()
    monkeypatch.chdir(empty / "elsewhere")
    assert read_grouping("mine", study) == {"blocks": {"a": ["lung"]}}


def test_folders_may_have_spaces_and_quotes_in_their_names(empty: Path) -> None:
    write(empty / "it's, a [test]" / "sweeps" / "mine.yaml", "defaults: [sweep, _self_]\nseeds: [5]\n")
    assert compose_study("mine", config_dir=empty / "it's, a [test]").seeds == [5]


def test_a_study_is_read_from_its_own_folder_and_its_choices_from_all_folders(empty: Path) -> None:
    write(empty / "sweeps" / "mine.yaml", "defaults: [sweep, override /model: narrow, _self_]\n")
    write(empty / "option" / "model" / "narrow.yaml", "defaults: [tiny, _self_]\ndecoder_channels: 64\n")
    study = compose_study("mine", config_dir=empty / "option")
    assert study.model.decoder_channels == 64
    assert study.origin.folders[0] == empty / "sweeps"


@given(st.text(st.sampled_from("abc ',\"\\[]{}()=:äö/-"), min_size=1))
def test_any_text_can_be_quoted_for_an_override(text: str) -> None:
    study = compose_study("demo", [f"data.root={quote(text)}"])
    assert study.data.root == text


def test_composing_does_not_change_another_use_of_hydra(empty: Path) -> None:
    from hydra import compose, initialize_config_dir

    compose_study("demo")
    write(empty / "foreign" / "demo.yaml", "a: 1\n")
    with initialize_config_dir(str(empty / "foreign"), version_base="1.3"):
        assert compose("demo") == {"a": 1}
        assert compose_study("demo").name == "demo"
        assert compose("demo") == {"a": 1}


# Variants


def test_base_is_the_only_variant_by_default() -> None:
    assert compose_study("demo").variants == {"base": []}


def test_a_variant_is_the_study_with_its_overrides_on_top() -> None:
    study = compose_study("demo", ["model.dropout=0.25", "training.batch_size=4"])
    variant = apply_variant(study, ["model=mh_mtl", "training.batch_size=6", "data.image_size=96"])
    assert variant.model.encoder == "efficientnet-b4"
    assert variant.model.dropout == 0.25
    assert variant.training.batch_size == 6
    assert variant.data.image_size == 96
    assert variant.name == study.name
    assert apply_variant(study, []) is study


@pytest.mark.parametrize(
    "override",
    ["seeds=[1]", "data.split.seed=3", "data.root=x", "data=fmuia", "scale=full", "data.subset=fixed", "name=x"],
)
def test_a_variant_cannot_change_the_samples_or_the_runs(override: str) -> None:
    key = override.partition("=")[0]
    assert refusal(f"variants.other=['{override}']") == (
        f"variants.other: {key}: a variant may only change model, training, metrics, data.image_size, data.channels"
    )


def test_a_mistake_in_a_variant_is_found_when_the_study_is_composed() -> None:
    assert refusal("variants.big=['model=mh_mt']") == (
        "variants.big: model: unknown 'mh_mt', did you mean 'mh_mtl'? Allowed: "
        "m2dino, m2dino_small, m2dino_tiny, mh_mtl, tiny"
    )
    assert refusal("variants.big=['training.batch_size=0']") == (
        "variants.big: training.batch_size must be a whole number of at least 1; got 0"
    )


def test_variants_need_the_studys_own_file() -> None:
    study = StudyConfig.model_validate(compose_study("demo").model_dump())
    with pytest.raises(ConfigError, match="variants need the study's own file"):
        apply_variant(study, ["model.dropout=0.1"])


# Sources of values


def test_the_source_of_each_value_is_its_file_or_the_command_line() -> None:
    lines = describe_values(compose_study("demo", ["seeds=[4]", "training.task_weights.lung=2"])).splitlines()
    sources = {line.partition(":")[0]: line.rpartition("  # ")[2] for line in lines}
    repository = Path(__file__).parents[2]
    shown = {key: source.removeprefix(f"{repository}/") for key, source in sources.items()}
    assert shown["seeds"] == "command line"
    assert shown["training.task_weights.lung"] == "command line"
    assert shown["training.budget"] == "conf/training/quick.yaml"
    assert shown["training.weight_decay"] == "conf/training/default.yaml"
    assert shown["scales"] == "conf/scale/two.yaml"
    assert shown["groupings"] == "sweeps/demo.yaml"
    assert shown["metrics.nsd_tolerance"] == "conf/sweep.yaml"
    assert shown["name"] == "the study's file and data"
    assert all(shown.values()), "a value without a source"


# Mistakes: one line each


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
