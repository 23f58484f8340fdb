"""Weights of a vision transformer: from any kind of file, the features are those of timm's network."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError
from usaggr.models import vit_download
from usaggr.models.build_network import build_network
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit import VisionTransformer, build_vit
from usaggr.models.vit_weights import load_vit_weights
from usaggr.tasks import CATALOGUE

TASK = CATALOGUE["breast_3cls"]


def model(**changes: object) -> M2DinoConfig:
    experts = {"count": 2, "top_k": 1, "router": "task", "task_channels": 4, "noise": 0.0, "balance": 0.0}
    values: dict[str, object] = {
        "name": "m2dino", "encoder": "test_vit", "weights": None, "patch_size": None, "decoder_channels": 32,
        "conditioning": "none", "conditioned_blocks": None, "experts": experts, "lora_rank": 2, "freeze": "none",
        "layer_decay": 1.0, "landmarks": "heatmap", "dropout": 0.0,
    }  # fmt: skip
    return M2DinoConfig.model_validate({**values, **changes})


def source(name: str, seed: int = 1, **options: Any) -> nn.Module:
    """timm's network with weights that all have an effect: LayerScale starts near 0, and biases at 0."""
    torch.manual_seed(seed)
    network: nn.Module = timm.create_model(name, num_classes=3, dynamic_img_size=True, **options)
    for name_, parameter in network.named_parameters():
        if "gamma" in name_ or name_.endswith(("ls1.gamma", "ls2.gamma")):
            nn.init.uniform_(parameter, 0.5, 1.0)
        elif name_.endswith("bias") or "_token" in name_:
            nn.init.normal_(parameter, std=0.1)
    return network.eval()


def maps_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    forward: Any = network.forward_intermediates
    with torch.no_grad():
        maps: list[Tensor] = forward(images, norm=True, intermediates_only=True)
    return maps


def loaded(config: M2DinoConfig) -> nn.Module:
    vit = create_vit(config)
    load_vit_weights(vit, config)
    return vit.eval()


def assert_same_maps(ours: nn.Module, theirs: nn.Module, height: int, width: int) -> None:
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    pairs = list(zip(maps_of(ours, images), maps_of(theirs, images), strict=True))
    assert len(pairs) >= 4
    for actual, other in pairs:
        assert actual.std() > 0.01
        assert torch.allclose(actual, other, atol=1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_timms_dinov3_gives_timms_features_at_any_size(tmp_path: Path, suffix: str) -> None:
    theirs = source("vit_small_patch16_dinov3")
    file = tmp_path / f"weights{suffix}"
    save_file(theirs.state_dict(), file) if suffix == ".safetensors" else torch.save(theirs.state_dict(), file)
    encoder = build_vit(model(encoder="vit_small_patch16_dinov3", weights=str(file))).eval()
    assert_same_maps(encoder.vit, theirs, 64, 96)
    images = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        read = encoder(images)
    for actual, other in zip(read, [maps_of(theirs, images)[level] for level in encoder.levels], strict=True):
        assert torch.allclose(actual, other, atol=1e-5)


def test_patches_and_positions_of_another_size_are_resampled_as_timm_does(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(source("test_vit").state_dict(), file)
    expected: nn.Module = timm.create_model(
        "test_vit", num_classes=3, patch_size=8, dynamic_img_size=True, checkpoint_path=""
    )
    state = timm.models.vision_transformer.checkpoint_filter_fn(torch.load(file), expected)  # type: ignore[no-untyped-call, arg-type]
    expected.load_state_dict(state)
    ours = loaded(model(patch_size=8, weights=str(file)))
    assert maps_of(ours, torch.zeros(1, 3, 64, 96))[0].shape[-2:] == (8, 12)
    assert_same_maps(ours, expected.eval(), 64, 96)


def metas_names(state: Mapping[str, Tensor], bias: float) -> dict[str, Tensor]:
    """State of timm's DINOv3 under the names of Meta's code, whose attention has a bias, masked for the key."""
    renamed: dict[str, Tensor] = {"mask_token": torch.zeros(1, 384), "rope_embed.periods": torch.ones(16)}
    for name, tensor in state.items():
        if name.startswith("head."):
            continue
        for timm_name, other in (("gamma_1", "ls1.gamma"), ("gamma_2", "ls2.gamma"), ("reg_token", "storage_tokens")):
            name = name.replace(timm_name, other)
        if name.endswith((".q_bias", ".v_bias")):
            continue
        renamed[name] = tensor
        if name.endswith("attn.qkv.weight"):
            width = tensor.shape[1]
            stem = name.removesuffix("weight")
            block = name.split(".attn")[0]
            query, value = (
                state.get(f"{block}.attn.{projection}_bias", torch.full((width,), bias)) for projection in "qv"
            )
            renamed[f"{stem}bias"] = torch.cat([query, torch.full((width,), 7.0), value])
            renamed[f"{stem}bias_mask"] = torch.full((3 * width,), float("nan"))
    return renamed


@pytest.mark.parametrize("wrapper", [None, "model", "teacher"])
def test_metas_names_of_dinov3_are_read(tmp_path: Path, wrapper: str | None) -> None:
    theirs = source("vit_small_patch16_dinov3")
    state = metas_names(theirs.state_dict(), bias=0.0)
    file = tmp_path / "dinov3_vits16_pretrain_lvd1689m.pth"
    wrapped = {f"backbone.{name}": tensor for name, tensor in state.items()}
    torch.save(state if wrapper is None else {wrapper: wrapped, "student": {}}, file)
    ours = loaded(model(encoder="vit_small_patch16_dinov3", weights=str(file)))
    assert_same_maps(ours, theirs, 64, 96)


def test_metas_biases_are_kept_by_the_encoder_that_has_them_and_never_dropped_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = source("vit_small_patch16_dinov3_qkvb")
    file = tmp_path / "meta.pth"
    torch.save(metas_names(theirs.state_dict(), bias=0.0), file)
    ours = loaded(model(encoder="vit_small_patch16_dinov3_qkvb", weights=str(file)))
    assert_same_maps(ours, theirs, 64, 96)
    with pytest.raises(ConfigError, match=r"has biases .* model\.encoder=vit_small_patch16_dinov3_qkvb has them"):
        loaded(model(encoder="vit_small_patch16_dinov3", weights=str(file)))
    assert capsys.readouterr().out == ""


def test_the_encoder_of_a_trained_network_can_be_taken(tmp_path: Path) -> None:
    trained = build_network(model(patch_size=8), [TASK], 3)
    file = tmp_path / "scored.safetensors"
    save_file(trained.state_dict(), file)
    for conditioning in ("none", "experts", "lora", "film"):
        config = model(patch_size=8, weights=str(file), conditioning=conditioning)
        encoder, images = build_vit(config), torch.randn(1, 3, 32, 48)
        assert all(torch.equal(a, b) for a, b in zip(encoder(images), trained.encoder(images), strict=True))


@pytest.mark.parametrize("conditioning", ["experts", "lora", "film"])
def test_a_file_with_blocks_conditioned_on_tasks_is_refused_with_the_reason(tmp_path: Path, conditioning: str) -> None:
    file = tmp_path / "scored.safetensors"
    save_file(build_network(model(conditioning=conditioning), [TASK], 3).state_dict(), file)
    with pytest.raises(ConfigError, match=r"the MLPs of blocks 4 to 6 are conditioned on the task .*conditioning=none"):
        loaded(model(weights=str(file)))


def test_on_the_meta_device_weights_are_checked_and_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(source("test_vit").state_dict(), file)
    with torch.device("meta"):
        vit = create_vit(model(patch_size=8, weights=str(file)))
        load_vit_weights(vit, model(patch_size=8, weights=str(file)))
        assert all(parameter.is_meta for parameter in vit.parameters())
        with pytest.raises(ConfigError, match="does not fit vit_tiny_patch16_224"):
            build_vit(model(encoder="vit_tiny_patch16_224", weights=str(file)))


def half_a_file(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("blocks.5.")} | {"odd": torch.ones(1)}


def transformers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("blocks.", "layer.").replace("cls", "embeddings.cls"): t for name, t in state.items()}


def twice(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state | {f"module.{name}": tensor.clone() for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (half_a_file, r"missing: blocks\.5\.\S+, blocks\.5\.\S+, blocks\.5\.\S+ and 9 more; in the file but .*: odd$"),
        (transformers_names, r"names are those of the transformers library.*https://huggingface\.co/timm/test_vit\."),
        (twice, r"contains the encoder more than once \(cls_token and module\.cls_token\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_is_wrong(tmp_path: Path, change: Any, message: str) -> None:
    file = tmp_path / "weights.pth"
    torch.save(change(source("test_vit").state_dict()), file)
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(model(weights=str(file)))
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture_are_refused_with_their_shapes(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(source("test_vit").state_dict(), file)
    message = (
        r"does not fit vit_tiny_patch16_224: 0 of its 150 .*cls_token \(shape \(1, 1, 64\) in the file, \(1, 1, 192\)"
    )
    with pytest.raises(ConfigError, match=message):
        loaded(model(encoder="vit_tiny_patch16_224", weights=str(file)))


def test_a_file_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "attacked"),)

    file = tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps({"state_dict": Attack()}, protocol=2))
    with pytest.raises(ConfigError, match="neither safetensors nor a torch state dict"):
        loaded(model(weights=str(file)))
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("vit_small_patch16_dinov4", "unknown 'vit_small_patch16_dinov4', did you mean 'vit_small_patch16_dinov3'"),
        ("vit_small_patch16_dinov3.lvd", r"did you mean 'vit_small_patch16_dinov3\.lvd1689m'.*without a tag"),
        ("resnet18", "is not a plain vision transformer .*images of any size"),
        (
            "swin_tiny_patch4_window7_224",
            "is not a plain vision transformer .*similar supported names: vit_tiny_patch16_224",
        ),
        ("vit_base_patch16_18x2_224", "some of its blocks do not have exactly one MLP"),
        ("vit_base_r50_s16_224", "its tokens are not square patches of the image"),
    ],
)
def test_an_encoder_that_is_not_a_plain_transformer_is_refused_with_similar_ones(encoder: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught, torch.device("meta"):  # the weights do not matter
        create_vit(model(encoder=encoder))
    assert str(caught.value).startswith("model.encoder")
    assert "\n" not in str(caught.value)


def test_a_patch_size_that_timm_refuses_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model = timm.create_model

    def refuse_patches(name: str, **options: Any) -> Any:
        assert "patch_size" not in options, "only its own patches"
        return create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", refuse_patches)
    with pytest.raises(ConfigError) as caught:
        create_vit(model(patch_size=12))
    assert str(caught.value) == (
        "model.patch_size=12: not supported by test_vit (only its own patches); null keeps the encoder's patch size"
    )
    with pytest.raises(ConfigError, match=r"^model\.encoder=vit_base_patch16_18x2_224: .*do not have exactly one MLP"):
        create_vit(model(encoder="vit_base_patch16_18x2_224", patch_size=12))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty cache of the hub, without a network connection."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def test_without_network_and_cache_the_message_names_file_page_and_license(empty_cache: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build_vit(model(encoder="vit_small_patch16_dinov3", weights="timm"))
    assert str(caught.value) == (
        "model.weights=timm: the weights of vit_small_patch16_dinov3 are not in the cache and could not be downloaded "
        "(HF_HUB_OFFLINE is set); download model.safetensors of timm/vit_small_patch16_dinov3.lvd1689m from "
        "https://huggingface.co/timm/vit_small_patch16_dinov3.lvd1689m (license: the DINOv3 License, which is "
        "Meta's own and is accepted on that page), put it where the runs can read it, and set model.weights=FILE"
    )


def test_a_transformer_without_weights_in_timm_is_refused() -> None:
    with pytest.raises(ConfigError, match="timm has no weights for vit_base_patch16_gap_224; give a local file"):
        build_vit(model(encoder="vit_base_patch16_gap_224", weights="timm"))


def put_into_cache(cache: Path, state: dict[str, Tensor], commit: str, name: str = "model.safetensors") -> None:
    """Files that the hub's client leaves after a download: a snapshot by commit, and the commit of `main`."""
    folder = cache / "models--timm--test_vit.r160_in1k"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    file = folder / "snapshots" / commit / name
    save_file(state, file) if name.endswith(".safetensors") else torch.save(state, file)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_timms_weights_are_read_from_the_cache_without_a_network(empty_cache: Path, name: str) -> None:
    theirs = source("test_vit")
    put_into_cache(empty_cache, theirs.state_dict(), "c0ffee", name)
    assert_same_maps(loaded(model(weights="timm")), theirs, 64, 96)
    assert_same_maps(loaded(model(encoder="test_vit.r160_in1k", weights="timm")), theirs, 64, 96)


def test_a_changed_download_is_another_content(empty_cache: Path) -> None:
    put_into_cache(empty_cache, source("test_vit", seed=1).state_dict(), "c0ffee")
    first = vit_download.identify_weights(model(weights="timm"))
    put_into_cache(empty_cache, source("test_vit", seed=2).state_dict(), "decade")
    second = vit_download.identify_weights(model(weights="timm"))
    assert first.startswith("timm/test_vit.r160_in1k model.safetensors sha256:")
    assert first != second


def test_the_refused_answer_of_the_hub_is_in_the_message(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, local_files_only: bool = False, **kwargs: object) -> str:
        if local_files_only:
            raise vit_download.LocalEntryNotFoundError("not here")
        raise PermissionError("access to it is restricted\nand more")

    monkeypatch.setattr(vit_download, "hf_hub_download", refuse)
    with pytest.raises(ConfigError, match=r"could not be downloaded \(access to it is restricted\); download"):
        build_vit(model(weights="timm"))


def test_without_weights_the_transformer_is_as_it_was_drawn() -> None:
    vit = create_vit(model())
    before = {name: tensor.clone() for name, tensor in vit.state_dict().items()}
    load_vit_weights(vit, model())
    assert all(torch.equal(tensor, vit.state_dict()[name]) for name, tensor in before.items())
    assert isinstance(build_vit(model()), VisionTransformer)
