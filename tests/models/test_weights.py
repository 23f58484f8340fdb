"""Checks of weights that a plan makes without torch, for both networks."""

import hashlib
from pathlib import Path

import pytest

from tests.models import test_network, test_vit_weights
from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError
from usaggr.models.weights import check_weights, find_weights_file


def model(name: str, **changes: object) -> ModelConfig:
    return {"mh_mtl": test_network.model, "m2dino": test_vit_weights.model}[name](**changes)


@pytest.mark.parametrize("name", ["mh_mtl", "m2dino"])
def test_a_file_is_identified_by_the_hash_of_its_bytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    assert find_weights_file(model(name, weights=str(file))) == file
    assert check_weights(model(name, weights=str(file))) == hashlib.sha256(b"one").hexdigest()


@pytest.mark.parametrize(("name", "library_id"), [("mh_mtl", "imagenet"), ("m2dino", "timm")])
def test_an_id_of_the_library_is_no_file_and_has_no_hash(name: str, library_id: str) -> None:
    assert find_weights_file(model(name, weights=library_id)) is None
    assert check_weights(model(name, weights=library_id)) is None
    assert check_weights(model(name)) is None


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("mh_mtl", "no/such/file", r"no such file; give a local file .*such as imagenet, or null"),
        ("m2dino", "dinov3.pth", r"no such file; give a local file .*such as timm, or null"),
        (
            "m2dino",
            "time",
            r"model\.weights: unknown 'time', did you mean 'timm'\? Allowed: timm, null, or a local file",
        ),
        ("m2dino", "imagenet", r"model\.weights: unknown 'imagenet'\. Allowed: timm, null"),
        ("m2dino", ".", "is a folder; give the file"),
    ],
)
def test_weights_that_are_neither_a_file_nor_an_id_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_weights(model(name, weights=weights))
