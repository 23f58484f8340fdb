"""Scale of images that a network with pretrained weights assumes: the reported one is the one that it uses."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.models.test_vit_weights import TASK, model
from usaggr.config.compose import compose_study
from usaggr.config.model import ModelConfig
from usaggr.data.batches.batches import MEAN, STD
from usaggr.errors import ConfigError
from usaggr.models.assumed_input import find_pixel_normalization
from usaggr.models.build_network import build_network

HALF = (0.5, 0.5, 0.5)
VIT = "vit_base_patch16_224"


def mh_mtl(encoder: str, weights: str | None) -> ModelConfig:
    study = compose_study("demo", [f"model.encoder={encoder}"])
    return study.model.model_copy(update={"weights": weights})


def test_without_pretrained_weights_nothing_is_assumed() -> None:
    assert find_pixel_normalization(model()) is None
    assert find_pixel_normalization(mh_mtl("tu-test_resnet", None)) is None


@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [(VIT, HALF, HALF), (f"{VIT}.augreg_in21k", HALF, HALF), (f"{VIT}.mae", MEAN, STD)],
)
def test_a_tag_of_timm_has_the_normalization_that_timm_lists_for_it(encoder: str, mean: Any, std: Any) -> None:
    normalization = find_pixel_normalization(model(encoder=encoder, weights="timm"))
    assert normalization is not None
    assert (normalization.source, normalization.mean, normalization.std) == ("library", mean, std)
    assert normalization.describe().endswith(": timm lists them for these weights, which are its own")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """File of a transformer without a stored normalization."""
    network = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
    save_file(network.state_dict(), tmp_path / "plain.safetensors")
    return tmp_path / "plain.safetensors"


@pytest.fixture
def stating(tmp_path: Path, plain: Path) -> Path:
    """File of a network of usaggr with a stored normalization that timm does not list."""
    network = build_network(model(weights=str(plain)), [TASK], seed=0)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.2, 0.4, 0.8])
    state["encoder.input_factor"] = torch.tensor(STD) / std
    state["encoder.input_shift"] = (torch.tensor(MEAN) - mean) / std
    save_file(state, tmp_path / "stating.safetensors")
    return tmp_path / "stating.safetensors"


def test_a_file_that_states_none_is_read_on_the_normalization_of_the_encoder_s_name(plain: Path) -> None:
    normalization = find_pixel_normalization(model(weights=str(plain)))
    settings: Any = timm.get_pretrained_cfg("test_vit")
    assert normalization is not None
    assert (normalization.source, normalization.mean, normalization.std) == ("name", settings.mean, settings.std)
    assert (
        "assumed from the encoder's name, for which timm lists them; the file states none" in normalization.describe()
    )


def test_a_file_that_states_its_normalization_is_believed(stating: Path) -> None:
    normalization = find_pixel_normalization(model(weights=str(stating)))
    assert normalization is not None
    assert (normalization.source, normalization.mean, normalization.std) == ("file", (0.1, 0.2, 0.3), (0.2, 0.4, 0.8))
    assert normalization.describe().endswith("mean 0.1, 0.2, 0.3 and std 0.2, 0.4, 0.8: the file states them")


@pytest.mark.parametrize("which", ["plain", "stating"])
def test_the_reported_normalization_is_the_one_that_the_network_uses(
    request: pytest.FixtureRequest, which: str
) -> None:
    config = model(weights=str(request.getfixturevalue(which)))
    encoder, normalization = build_network(config, [TASK], seed=0).encoder, find_pixel_normalization(config)
    assert normalization is not None
    images = torch.rand(2, 3, 4, 4)

    def channels(values: Any) -> torch.Tensor:
        return torch.tensor(values)[:, None, None]

    usual = (images - channels(MEAN)) / channels(STD)
    rescaled = usual * channels(encoder.input_factor.tolist()) + channels(encoder.input_shift.tolist())
    torch.testing.assert_close(
        rescaled, (images - channels(normalization.mean)) / channels(normalization.std), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("encoder", "weights", "listed"),
    [
        ("resnet18", "imagenet", None),
        ("tu-resnet18", "imagenet", None),
        ("tu-tf_efficientnet_lite0", "imagenet", (HALF, HALF)),
        ("tu-tf_efficientnet_lite0", "FILE", (HALF, HALF)),
        ("resnet18", "FILE", None),
    ],
)
def test_mh_mtl_has_one_normalization_and_names_another_that_the_library_lists(
    plain: Path, encoder: str, weights: str, listed: Any
) -> None:
    normalization = find_pixel_normalization(mh_mtl(encoder, str(plain) if weights == "FILE" else weights))
    assert normalization is not None
    assert (normalization.source, normalization.mean, normalization.std) == ("network", MEAN, STD)
    assert (normalization.listed_mean, normalization.listed_std) == (listed or (None, None))
    warning = (
        "the library lists mean 0.5 and std 0.5 for it, so these weights were probably trained with another "
        "normalization"
    )
    assert (warning in normalization.describe()) is (listed is not None)
    assert "assumed, because the network mh_mtl does so for every encoder and all weights" in normalization.describe()


def test_weights_that_timm_does_not_have_are_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"^model\.encoder=tu-resnet18, model\.weights=imagenett: .*imagenett"):
        find_pixel_normalization(mh_mtl("tu-resnet18", "imagenett"))
