"""Tests of composing a study: values, names, folders, variants, and sources of values."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.study_files import refusal, write
from usaggr.config.compose import apply_variant, compose_study, describe_study, describe_values, read_grouping
from usaggr.config.overrides import quote
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError

pytestmark = pytest.mark.usefixtures("composed_by_hydra")


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
