"""Repositories of pretrained weights: those from which the libraries load them."""

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]

from usaggr.config.compose import compose_study
from usaggr.config.model import M2DinoConfig
from usaggr.models.cached_weights import DINOV3_SMALL, EFFICIENTNET_B4
from usaggr.models.vit_download import find_source


def test_the_transformers_repository_is_that_of_timm() -> None:
    model = compose_study("demo", ["model=m2dino_small", "model.weights=timm"]).model
    assert isinstance(model, M2DinoConfig)
    source = find_source(model)
    assert source is not None
    assert (DINOV3_SMALL.repository, DINOV3_SMALL.revision) == (source.repository, source.revision)
    assert DINOV3_SMALL.files == source.files[:1]


def test_the_convolutional_networks_repository_is_that_of_the_library() -> None:
    settings = smp.encoders.encoders[compose_study("demo", ["model=mh_mtl"]).model.encoder]["pretrained_settings"]
    assert settings["imagenet"] == {"repo_id": EFFICIENTNET_B4.repository, "revision": EFFICIENTNET_B4.revision}
