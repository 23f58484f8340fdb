"""Proposal of a network and an image size from the data, in studies whose file leaves them open."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from tests.data.factories import noise, tiny_data, write_image, write_rows
from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError
from usaggr.models.cached_weights import DINOV3_SMALL, EFFICIENTNET_B4, CachedWeights
from usaggr.sweep.planning import proposal
from usaggr.sweep.planning.study_plan import Plan, make_plan, write_plan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_data(tmp_path / "data", n=20)


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(hub: Path, weights: CachedWeights) -> None:
    folder = hub / f"models--{weights.repository.replace('/', '--')}"
    revision = weights.revision or "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    (folder / "snapshots" / revision).mkdir(parents=True)
    for name in weights.files:
        (folder / "snapshots" / revision / name).write_bytes(b"weights")


def plan_own(root: Path, *overrides: str, study: str = "own") -> Plan:
    fixed = [f"data.root={root}", f"outputs={root.parent / 'outputs'}", "seeds=[0]"]
    return make_plan(compose_study(study, [*fixed, *overrides]))


def test_little_data_without_weights_get_the_tiny_network_with_one_learning_rate(root: Path) -> None:
    plan = plan_own(root)
    assert plan.study.model == compose_study("demo", ["model=tiny"]).model
    assert plan.study.training.encoder_learning_rate is None
    assert plan.study.training.keep_weights == "scored"
    assert plan.study.data.image_size == 64, "the images have 24 x 32 pixels, and 64 is the smallest proposal"
    assert plan.proposals == (
        "proposed model=tiny training.encoder_learning_rate=null: no pretrained weights are at hand "
        "(model.weights=FILE names a file), and 80 images are fewer than 5,000",
        "proposed data.image_size=64: the median of the images' longer side is 32 pixels in cls",
    )
    assert {run.study.data.image_size for run in plan.runs} == {64}


def test_many_images_get_the_network_of_the_benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal, "LARGE_DATA", 80)
    plan = plan_own(root)
    assert plan.study.model.encoder == "efficientnet-b4"
    assert (plan.study.model.weights, plan.study.training.encoder_learning_rate) == (None, None)


@pytest.mark.parametrize(("side", "expected"), [(20, 64), (96, 96), (97, 128), (300, 256)])
def test_the_image_size_is_the_median_of_the_longer_side_of_the_largest_task(
    tmp_path: Path, side: int, expected: int
) -> None:
    for task, sides in (("small", [16] * 21), ("large", [side] * 11 + [640] * 10)):
        lines = []
        for number, length in enumerate(sides):
            write_image(
                tmp_path / "data" / task / f"{number}.png", noise(number + 100 * len(task), length // 2, length)
            )
            row = {"image_path": f"../{task}/{number}.png", "task_name": "classification", "task_id": task}
            lines.append({**row, "num_classes": "2", "mask": str(number % 2)})
        write_rows(tmp_path / "data", f"{task}.csv", lines)
    assert plan_own(tmp_path / "data").study.data.image_size == expected
    assert plan_own(tmp_path / "data", "tasks=[small]").study.data.image_size == 64


def test_weights_in_the_cache_decide_the_network_without_a_download(root: Path, hub: Path) -> None:
    put_into_cache(hub, EFFICIENTNET_B4)
    plan = plan_own(root)
    assert (plan.study.model.encoder, plan.study.model.weights) == ("efficientnet-b4", "imagenet")
    assert plan.study.model.norm == "frozen"  # type: ignore[union-attr]
    assert plan.study.training.encoder_learning_rate == 1e-4
    put_into_cache(hub, DINOV3_SMALL)
    plan = plan_own(root)
    assert (plan.study.model.encoder, plan.study.model.weights) == ("vit_small_patch16_dinov3", "timm")
    assert "DINOv3's weights of ViT-S/16 are in the cache of Hugging Face" in plan.proposals[0]
    assert plan_own(root, "model.weights=null").study.model.encoder == "tu-test_resnet"


@pytest.mark.parametrize(
    ("names", "encoder", "norm"),
    [
        ({"model.blocks.0.norm1.weight": 384}, "vit_small_patch16_dinov3", None),
        ({"blocks.0.norm1.weight": 768}, "vit_base_patch16_dinov3", None),
        ({"_conv_stem.weight": 3, "_bn0.running_mean": 3}, "efficientnet-b4", "frozen"),
        ({"_conv_stem.weight": 3}, "efficientnet-b4", "group"),
    ],
)
def test_a_file_of_weights_decides_the_network(
    root: Path, names: dict[str, int], encoder: str, norm: str | None
) -> None:
    file = root / "weights.pth"
    torch.save({name: torch.zeros(width) for name, width in names.items()}, file)
    study = proposal.propose(
        compose_study("own", [f"data.root={root}", f"model.weights={file}"]), plan_own(root).manifest.dataset
    ).study
    assert (study.model.encoder, study.model.weights) == (encoder, str(file))
    assert getattr(study.model, "norm", None) == norm
    assert study.training.encoder_learning_rate == 1e-4


@pytest.mark.parametrize(
    ("overrides", "choice"),
    [
        (("model=m2dino_tiny",), "model=m2dino_tiny"),
        (("model.dropout=0.1",), "model.dropout=0.1"),
        (("+variants.wide=['model.decoder_channels=64']",), "model.decoder_channels=64"),
    ],
)
def test_a_key_of_the_user_keeps_the_users_network(root: Path, overrides: tuple[str, ...], choice: str) -> None:
    plan = plan_own(root, *overrides)
    assert plan.study.model == compose_study("own", [f"data.root={root}", *overrides]).model
    assert plan.proposals[0] == f"no network is proposed, because {choice} chooses it"
    assert plan.study.training.encoder_learning_rate == 1e-4


def test_an_image_size_of_the_user_is_kept(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_own(root, "data.image_size=[96,128]")
    assert plan.study.data.input_size == (96, 128)
    assert plan.proposals[1] == "no image size is proposed, because data.image_size is given (command line)"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "mine.yaml").write_text("defaults: [fmuia, _self_]\nimage_size: 96\n")
    plan = plan_own(root, "data=mine")
    assert plan.study.data.image_size == 96
    assert plan.proposals[1] == "no image size is proposed, because data.image_size is given (conf/data/mine.yaml)"


def test_a_study_of_the_user_may_choose_the_network_or_leave_it_open(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    head = "defaults: [sweep, override /data: fmuia, override /model: m2dino_tiny, _self_]\n"
    (tmp_path / "sweeps" / "chosen.yaml").write_text(f"{head}propose: [model, data.image_size]\n")
    plan = plan_own(root, study="chosen")
    assert plan.study.model.name == "m2dino"
    assert "conf/model/m2dino_tiny.yaml chooses it" in plan.proposals[0]
    (tmp_path / "sweeps" / "closed.yaml").write_text("defaults: [sweep, override /data: fmuia, _self_]\n")
    assert plan_own(root, study="closed").proposals == ()
    assert plan_own(root, study="closed").study.data.image_size == 256


@pytest.mark.parametrize("propose", ["model", "[training]", "[[model]]", "{model: 1}", "3"])
def test_only_a_list_of_keys_that_can_be_proposed_is_accepted(tmp_path: Path, propose: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"defaults: [sweep, _self_]\npropose: {propose}\n")
    with pytest.raises(ConfigError, match=r"^propose: must be a list of model, data.image_size; got"):
        compose_study(str(path))


def test_weights_that_appear_later_do_not_change_the_network_of_results(root: Path, hub: Path) -> None:
    first = plan_own(root)
    write_plan(first)
    put_into_cache(hub, DINOV3_SMALL)
    again = plan_own(root)
    assert [run.spec.fingerprint for run in again.runs] == [run.spec.fingerprint for run in first.runs]
    assert again.proposals[0].endswith(
        f"the results in {first.directory} have this network; name=... begins other results"
    )
    assert plan_own(root, "name=other").study.model.encoder == "vit_small_patch16_dinov3"


def test_a_plan_proposes_once(root: Path) -> None:
    plan = plan_own(root)
    again = make_plan(plan.study)
    assert again.proposals == ()
    assert again.study == plan.study
