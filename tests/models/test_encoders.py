from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tests.models.test_network import CLS, images, model
from usaggr.errors import ConfigError
from usaggr.models.build_network import build_network
from usaggr.models.encoders import build_encoder
from usaggr.models.weights import check_weights


@pytest.fixture
def timm_resnet() -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = timm.create_model("test_resnet", num_classes=7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
    return network.eval()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_timm_saved_give_timms_features(timm_resnet: nn.Module, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    state = timm_resnet.state_dict()
    save_file(state, file) if suffix == ".safetensors" else torch.save({"state_dict": state}, file)
    encoder, channels = build_encoder(model(weights=str(file), norm="frozen"))
    encoder.train()  # frozen statistics stay in use
    batch = images(2)
    with torch.no_grad():
        maps = encoder(batch)
        expected = timm_resnet.forward_features(batch)  # type: ignore[operator]
    assert torch.allclose(maps[-1], expected, atol=1e-5)
    assert [m.shape[1] for m in maps[-4:]] == channels


# timm uses other names for the stages of a ConvNeXt, and the stem of a DenseNet, if it returns their maps.
@pytest.mark.parametrize("name", ["test_convnext", "test_byobnet", "densenet121"])
def test_weights_are_found_however_timm_names_them(name: str, tmp_path: Path) -> None:
    source = timm.create_model(name).eval()
    file = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), file)
    encoder, _ = build_encoder(model(encoder=f"tu-{name}", weights=str(file), norm="frozen"))
    batch = images(1)
    with torch.no_grad():
        expected = source.forward_intermediates(batch, intermediates_only=True)[-1]
        assert torch.allclose(encoder.eval()(batch)[-1], expected, atol=1e-5)


def test_the_encoder_of_a_trained_network_can_be_taken(tmp_path: Path) -> None:
    source = build_network(model(), [CLS], 1)
    file = tmp_path / "scored.safetensors"
    save_file(source.state_dict(), file)
    encoder, _ = build_encoder(model(weights=str(file)))
    batch = images(1)
    assert torch.equal(encoder(batch)[-1], source.encoder(batch)[-1])


def test_frozen_statistics_do_not_change_in_training_and_their_weights_do(
    timm_resnet: nn.Module, tmp_path: Path
) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(timm_resnet.state_dict(), file)
    network = build_network(model(weights=str(file), norm="frozen"), [CLS], 0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(images(4), {CLS.id: torch.arange(4)})[CLS.id].square().sum().backward()
    optimizer.step()
    after = network.state_dict()
    statistics = [name for name in after if "running" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[n], after[n]) for n, p in network.named_parameters() if "bn" in n)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet81"}, r"model\.encoder: unknown 'resnet81', did you mean 'resnet\d+'"),
        (
            {"encoder": "tu-vit_small_patch16_224"},
            r"cannot be used with the FPN decoder, which needs maps at strides 4, 8",
        ),
        ({"encoder": "test_resnet"}, "did you mean 'tu-test_resnet'"),
        ({"encoder": "tu-resnet18.a1_in2k"}, "unknown 'tu-resnet18.a1_in2k', did you mean 'tu-resnet18.a1_in1k'"),
        ({"encoder": "tu-resnet18", "weights": "a1"}, "model.weights: unknown 'a1'"),
        ({"weights": "no/such/file.pth"}, "no such file"),
        ({"norm": "frozen"}, "norm=frozen keeps the statistics of pretrained weights"),
        (
            {"encoder": "resnet18", "weights": "imagenett"},
            "model.weights: unknown 'imagenett', did you mean 'imagenet'",
        ),
    ],
)
def test_encoders_and_weights_that_do_not_exist_are_refused_in_one_line(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_encoder(model(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_a_failed_download_suggests_a_local_file(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", fail)
    monkeypatch.setattr("timm.models._hub.hf_hub_download", fail)
    message = r"could not be downloaded \(no route to host\); give a local file: model\.weights=FILE$"
    with pytest.raises(ConfigError, match=message):
        build_encoder(model(encoder=encoder, weights="imagenet"))


def test_weights_of_another_network_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), file)
    with pytest.raises(ConfigError, match=r"does not fit the encoder: \d+ of its \d+ weights"):
        build_encoder(model(weights=str(file)))


def test_a_file_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    import os
    import pickle

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "attacked"),)

    file = tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps({"state_dict": Attack()}))
    with pytest.raises(ConfigError, match="neither safetensors nor a torch state dict"):
        build_encoder(model(weights=str(file)))
    assert not (tmp_path / "attacked").exists()


def test_the_plans_check_hashes_the_file_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    first = check_weights(model(weights=str(file)))
    file.write_bytes(b"two")
    assert first != check_weights(model(weights=str(file)))
    assert check_weights(model()) is None
