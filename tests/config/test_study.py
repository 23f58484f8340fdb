"""Tests of the schema: accepted and refused values, and keys that enter a fingerprint."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from usaggr.config.compose import compose_study
from usaggr.config.messages import explain
from usaggr.config.section import FINGERPRINTED, Section, get_result_settings, walk_leaf_keys
from usaggr.config.study import Origin, StudyConfig
from usaggr.errors import ConfigError

DEMO = compose_study("demo").model_dump()
NAME = "a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit"


def study(**changes: Any) -> StudyConfig:
    """Return the demo study with some top-level keys changed."""
    return StudyConfig.model_validate({**DEMO, **changes})


def data(**changes: Any) -> StudyConfig:
    return study(data={**DEMO["data"], **changes})


def message(key: str, value: Any) -> str:
    """Return the error message if a dotted key of the demo study has this value."""
    values: dict[str, Any] = StudyConfig.model_validate(DEMO).model_dump()
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[last] = value
    with pytest.raises(ValidationError) as error:
        StudyConfig.model_validate(values)
    return explain(error.value)


def keys_of_results() -> list[tuple[str, bool | None]]:
    keys = [
        (key, decided) for key, decided in walk_leaf_keys(StudyConfig, "") if key.partition(".")[0] in FINGERPRINTED
    ]
    assert len(keys) > 60
    return keys


def test_every_key_of_results_states_whether_it_enters_the_fingerprint() -> None:
    assert [key for key, decided in keys_of_results() if decided is None] == []


def test_only_these_keys_cannot_change_a_result() -> None:
    """Read this before adding a key: a finished run counts as the same run with any value of these keys."""
    assert {key for key, decided in keys_of_results() if decided is False} == {
        "data.root",  # the content of images and labels is in the fingerprint instead
        "data.follow_links",  # the content of linked files is in the fingerprint, too
        "data.max_pixels",  # refuses images and changes none
        "data.bit_depth",  # what is read otherwise is in the fingerprint
        "data.exif_orientation",
        "data.transparency",
        "data.cache_dir",
        "data.workers",
        "data.synthetic.samples_of",  # the content of the images is in the fingerprint
        "data.synthetic.related",
        "data.synthetic.conflicting",
        "training.checkpoint",  # a continued run scores the same as an uninterrupted one
        "training.keep_weights",
        "training.accelerator",  # where, not what; numbers of two devices agree up to rounding
        "training.resident",
        "training.channels_last",
        "training.compile",
    }


def test_a_key_that_does_not_state_it_is_found() -> None:
    class Careless(Section):
        forgotten: int

    assert list(walk_leaf_keys(Careless, "data")) == [("data.forgotten", None)]


def test_result_settings_leave_out_keys_that_cannot_change_a_result() -> None:
    settings = get_result_settings(data(root="/somewhere", workers=3, cache_dir="/tmp/x").data)
    assert settings == get_result_settings(data().data)
    assert settings["split"]["seed"] == 0
    assert "root" not in settings
    assert get_result_settings(data(image_size=96).data) != settings


def test_a_study_cannot_be_modified() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study().name = "other"  # type: ignore[misc]


def test_studies_with_equal_values_are_equal_whatever_their_origin() -> None:
    composed = study().composed_from(Origin((Path("conf"),), "demo", ("seeds=[0]",)))
    assert composed == study()
    assert composed.origin.config == "demo"
    assert study().origin == Origin()


def test_the_fraction_1_becomes_a_float_and_caps_stay_integers() -> None:
    assert [type(s) for s in study(scales=[0.5, 1]).scales] == [float, float]
    assert [type(s) for s in study(scales=[20, 50]).scales] == [int, int]


@given(st.floats(min_value=1e-6, max_value=1), st.integers(min_value=2, max_value=10**6))
def test_fractions_and_caps_cannot_be_mixed(fraction: float, cap: int) -> None:
    with pytest.raises(ValidationError, match="all fractions"):
        study(scales=[fraction, cap])


@pytest.mark.parametrize("size", [64, 256, [96, 128], [32, 32]])
def test_valid_image_sizes_are_accepted(size: Any) -> None:
    height, width = data(image_size=size).data.input_size
    assert [height, width] == (size if isinstance(size, list) else [size, size])


@pytest.mark.parametrize("size", [0, 16, [64], [64, 64, 64]])
def test_invalid_image_sizes_are_refused(size: Any) -> None:
    assert message("data.image_size", size).startswith("data.image_size must be a whole number of at least 32")


@pytest.mark.parametrize(
    ("model", "size", "multiple"),
    [
        ([], 100, 32),
        ([], "[64,65]", 32),
        (["model=m2dino"], 72, 16),
        (["model=m2dino", "model.encoder=vit_small_patch14_dinov2"], 64, 14),
        (["model=m2dino", "model.patch_size=12"], "[96,40]", 12),
    ],
)
def test_an_image_size_that_does_not_fit_the_network_is_refused(model: list[str], size: Any, multiple: int) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.image_size must be a multiple of {multiple} for m"):
        compose_study("demo", [*model, f"data.image_size={size}"])


def test_the_message_on_a_key_of_another_network_names_that_network() -> None:
    with pytest.raises(
        ConfigError, match=r"^model\.norm is a key of mh_mtl, not of m2dino\. Allowed in model: name, encoder,"
    ):
        compose_study("demo", ["model=m2dino", "model.norm=group"])
    with pytest.raises(ConfigError, match=r"^model\.experts is a key of m2dino, not of mh_mtl"):
        compose_study("demo", ["model.experts.count=3"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.experts.top_k=9"], "model.experts.top_k must be at most experts.count, which is 4; got 9"),
        (["model.experts.router=uniform"], "needs experts.top_k = experts.count"),
        (["model.experts.router=uniform", "model.experts.top_k=4"], "needs experts.noise above 0"),
        (["model.conditioned_blocks=[9,3]"], "must be the first block, then the last block"),
        (["model.name=resnet"], "model.name: unknown 'resnet'"),
        (["~model.name"], "model.name is missing; it must be one of mh_mtl, m2dino"),
    ],
)
def test_contradictory_settings_of_a_transformer_are_refused(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose_study("demo", ["model=m2dino", *overrides])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("budget", ["20 epochs", "1.5 epochs", "500 examples", "20epochs"])
def test_budgets_in_epochs_or_examples_are_accepted(budget: str) -> None:
    assert study(training={**DEMO["training"], "budget": budget}).training.budget == budget


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seeds", [1.5], "seeds[0] must be a whole number of at least 0; got 1.5"),
        ("seeds", [True], "seeds[0] must be a whole number of at least 0; got true"),
        ("seeds", [1, 1], "seeds must be a list without repeated values; got [1, 1]"),
        ("seeds", [], "seeds must be a non-empty list, each item a whole number of at least 0; got []"),
        ("scales", [1.5], "scales[0] must be a number above 0 and at most 1, or a whole number of at least 2; got 1.5"),
        ("name", "a b", f"name must be {NAME}; got 'a b'"),
        ("name", "../up", f"name must be {NAME}; got '../up'"),
        ("name", 7, f"name must be {NAME}; got 7, which needs quotes: \"name='7'\""),
        ("variants", {}, "variants must be a mapping with at least one variant, such as {base: []}; got {}"),
        ("variants", {"a b": []}, f"variants.a b must be {NAME}; got 'a b'"),
        ("variants", {"a": "b"}, "variants.a must be a list, each item text; got 'b'"),
        ("reference", "x", "reference: unknown 'x'. Allowed: clinical, task_specific, unified"),
        ("data.channels", 2, "data.channels must be one of 1, 3; got 2"),
        ("data.channels", "1", "data.channels must be one of 1, 3; got '1'"),
        ("data.on_bad_sample", "skp", "data.on_bad_sample: unknown 'skp', did you mean 'skip'? Allowed: error, skip"),
        (
            "data.subject_patterns",
            {"lung": "("},
            "data.subject_patterns must be a mapping to regular expressions; that of lung is invalid "
            "(missing ), unterminated subpattern at position 0); got {\"lung\": \"(\"}",
        ),
        (
            "data.split.fractions",
            [0.5, 0.2, 0.2],
            "data.split.fractions must be three fractions above 0 that sum to 1 (train, val, test); "
            "got [0.5, 0.2, 0.2]",
        ),
        ("data.split", 3, "data.split must be a mapping with the keys seed, fractions, conflict; got 3"),
        ("data.root", 3, "data.root must be text, or null; got 3, which needs quotes: \"data.root='3'\""),
        ("data.name", "fmuia", "data.root must be the folder that holds csv_files/, as in data.root=DIR"),
        (
            "model.decoder_channels",
            12,
            "model.decoder_channels must be a whole number of at least 32 and a multiple of 32; got 12",
        ),
        ("model.dropout", 1.0, "model.dropout must be a number of at least 0 and below 1; got 1.0"),
        ("training.learning_rate", "fast", "training.learning_rate must be a number above 0; got 'fast'"),
        ("training.learning_rate", float("nan"), "training.learning_rate must be a number above 0; got NaN"),
        ("training.gradient_clip", 0, "training.gradient_clip must be a number above 0, or null; got 0"),
        ("training.budget", 64, "training.budget must be text such as '20 epochs'; got 64"),
        ("training.budget", "5", "training.budget must be 'N epochs' or 'N examples', such as '20 epochs'; got '5'"),
        (
            "training.budget",
            "0 epochs",
            "training.budget must be 'N epochs' or 'N examples', such as '20 epochs'; got '0 epochs'",
        ),
        (
            "training.task_weights",
            {"a": -1.0},
            "training.task_weights must be weights of at least 0; got {\"a\": -1.0}",
        ),
        ("training.task_weights", {"a": "b"}, "training.task_weights.a must be a number; got 'b'"),
        (
            "training.augment.rotate",
            200,
            "training.augment.rotate must be a number of at least 0 and at most 180; got 200",
        ),
        ("executor.timeout", -1, "executor.timeout must be a number above 0, or null; got -1"),
        ("report.formats", ["pdf"], "report.formats[0]: unknown 'pdf'. Allowed: png, svg"),
    ],
)  # fmt: skip
def test_the_message_on_an_invalid_value_has_the_key_the_value_and_what_is_allowed(
    key: str, value: Any, expected: str
) -> None:
    assert message(key, value) == expected


def test_the_message_on_a_missing_key_says_what_is_allowed() -> None:
    values = {name: value for name, value in DEMO.items() if name != "seeds"}
    with pytest.raises(ValidationError) as error:
        StudyConfig.model_validate(values)
    assert (
        explain(error.value) == "seeds is missing; it must be a non-empty list, each item a whole number of at least 0"
    )


def test_each_of_several_mistakes_gets_one_line() -> None:
    with pytest.raises(ValidationError) as error:
        study(seeds=[-1], data={**DEMO["data"], "chanels": 1})
    lines = explain(error.value).splitlines()
    assert len(lines) == 2
    assert any(re.match(r"data\.chanels: unknown key, did you mean 'data\.channels'\?", line) for line in lines)
