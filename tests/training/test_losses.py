"""Losses against oracles: segmentation-models-pytorch for Dice, torchvision for GIoU, torch for cross-entropy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from usaggr.config.compose import compose_study
from usaggr.config.study import TrainingConfig
from usaggr.tasks import CATALOGUE
from usaggr.training import losses
from usaggr.training.losses import dice_loss, generalized_iou, sample_losses

SEG, CLS, DET, REG = (CATALOGUE[t] for t in ("cardiac_multi", "breast_3cls", "thyroid_nodule_det", "FUGC"))
numbers = st.floats(0, 1, width=32)
boxes = st.tuples(numbers, numbers, numbers, numbers).map(
    lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]) + 0.01, max(b[1], b[3]) + 0.01]
)


@pytest.fixture(scope="module")
def training() -> TrainingConfig:
    return compose_study("demo").training


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_dice_is_that_of_segmentation_models_pytorch_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    from segmentation_models_pytorch.losses import DiceLoss

    monkeypatch.setattr(losses, "DICE_SMOOTH", 0.0)  # the libraries smooth in different ways
    logits, masks = 4 * random(3, 4, 16, 16) - 2, (random(3, 16, 16) * 4).long()
    oracle = DiceLoss("multiclass", classes=[1, 2, 3], smooth=0.0)
    expected = [float(oracle(logits[i : i + 1], masks[i : i + 1])) for i in range(3)]
    assert dice_loss(logits.softmax(dim=1), masks).tolist() == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.tuples(boxes, boxes), min_size=1, max_size=5))
def test_generalised_iou_is_that_of_torchvision(pairs: list[tuple[list[float], list[float]]]) -> None:
    from torchvision.ops import generalized_box_iou

    a, b = (torch.tensor([pair[i] for pair in pairs]) for i in (0, 1))
    assert torch.allclose(generalized_iou(a, b), generalized_box_iou(a, b).diagonal(), atol=1e-5)


def test_cross_entropy_is_in_units_of_a_guess(training: TrainingConfig) -> None:
    classes = torch.tensor([0, 1, 2])
    guess = sample_losses(CLS, torch.zeros(3, 3), classes, training)
    assert guess.tolist() == pytest.approx([1, 1, 1])
    logits = random(3, 3)
    expected = torch.nn.functional.cross_entropy(logits, classes, reduction="none") / math.log(3)
    assert torch.allclose(sample_losses(CLS, logits, classes, training), expected)


def test_landmark_loss_is_the_mean_distance_and_has_a_slope_at_zero(training: TrainingConfig) -> None:
    truth = torch.tensor([[[0.1, 0.1], [0.5, 0.5]]])
    predicted = torch.tensor([[[0.4, 0.5], [0.5, 0.5]]], requires_grad=True)
    loss = sample_losses(REG, predicted, truth, training)
    assert float(loss.detach()) == pytest.approx(5 * (0.5 + 0) / 2, abs=1e-4)
    loss.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize("task", [SEG, CLS, DET, REG], ids=lambda task: task.type)
def test_losses_are_one_a_sample_and_none_touches_another(task: object, training: TrainingConfig) -> None:
    assert task in (SEG, CLS, DET, REG)
    outputs = {
        SEG.id: random(3, 4, 8, 8),
        CLS.id: random(3, 3),
        DET.id: random(3, 4).sort().values,
        REG.id: random(3, 2, 2),
    }
    targets = {
        SEG.id: (random(3, 8, 8) * 4).long(),
        CLS.id: torch.tensor([0, 2, 1]),
        DET.id: torch.tensor([[0.1, 0.1, 0.5, 0.6]] * 3),
        REG.id: 1 - random(3, 2, 2),
    }
    chosen = next(t for t in (SEG, CLS, DET, REG) if t == task)
    together = sample_losses(chosen, outputs[chosen.id], targets[chosen.id], training)
    alone = [sample_losses(chosen, outputs[chosen.id][[i]], targets[chosen.id][[i]], training) for i in range(3)]
    assert together.shape == (3,)
    assert torch.allclose(together, torch.cat(alone))
    assert 0.05 < float(together.mean()) < 5


def test_a_perfect_prediction_costs_nothing(training: TrainingConfig) -> None:
    masks = (random(2, 8, 8) * 4).long()
    logits = 40 * torch.nn.functional.one_hot(masks, 4).permute(0, 3, 1, 2).float()
    box = torch.tensor([[0.1, 0.2, 0.5, 0.6]])
    points = random(1, 2, 2)
    predicted = (
        sample_losses(SEG, logits, masks, training),
        sample_losses(DET, box, box, training),
        sample_losses(REG, points, points, training),
    )
    assert all(loss.abs().max() < 1e-4 for loss in predicted)


def test_a_class_that_is_absent_and_not_predicted_costs_nothing() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.int64)
    background = torch.zeros(1, 4, 8, 8)
    background[:, 0] = 1
    assert float(dice_loss(background, masks)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(torch.full((1, 4, 8, 8), 0.25), masks)) > 0.5


def test_the_configured_segmentation_loss_is_used(training: TrainingConfig) -> None:
    logits, masks = random(2, 4, 8, 8), (random(2, 8, 8) * 4).long()
    dice = training.model_copy(update={"segmentation_loss": "dice"})
    assert torch.allclose(sample_losses(SEG, logits, masks, dice), dice_loss(logits.softmax(dim=1), masks))
    assert not torch.allclose(sample_losses(SEG, logits, masks, dice), sample_losses(SEG, logits, masks, training))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("task", [SEG, CLS, DET, REG], ids=lambda task: task.type)
def test_outputs_in_half_precision_have_the_loss_of_the_same_numbers_in_single(
    task: object, half: torch.dtype, training: TrainingConfig
) -> None:
    """Sums over a mask's pixels would lose most of their digits."""
    chosen = next(t for t in (SEG, CLS, DET, REG) if t == task)
    outputs = {SEG.id: random(2, 4, 64, 64), CLS.id: 4 * random(2, 3), DET.id: random(2, 4), REG.id: random(2, 2, 2)}
    targets = {
        SEG.id: (random(2, 64, 64) * 4).long(),
        CLS.id: torch.tensor([0, 2]),
        DET.id: torch.tensor([[0.1, 0.1, 0.5, 0.6]] * 2),
        REG.id: 1 - random(2, 2, 2),
    }
    half_outputs = outputs[chosen.id].to(half)
    losses = sample_losses(chosen, half_outputs, targets[chosen.id], training)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, sample_losses(chosen, half_outputs.float(), targets[chosen.id], training))


def test_a_mask_costs_the_mean_of_dice_and_of_cross_entropy_in_units_of_a_guess(training: TrainingConfig) -> None:
    logits, masks = 4 * random(3, 4, 8, 8), (random(3, 8, 8) * 4).long()
    entropy = [float(torch.nn.functional.cross_entropy(logits[[i]], masks[[i]])) / math.log(4) for i in range(3)]
    dice = dice_loss(logits.softmax(dim=1), masks).tolist()
    expected = [(d + e) / 2 for d, e in zip(dice, entropy, strict=True)]
    assert sample_losses(SEG, logits, masks, training).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_box_costs_one_minus_its_giou_and_twice_the_mean_distance_of_its_edges(training: TrainingConfig) -> None:
    from torchvision.ops import generalized_box_iou

    predicted = torch.tensor([[0.1, 0.2, 0.4, 0.6], [0.5, 0.5, 0.9, 0.8]])
    truth = torch.tensor([[0.2, 0.1, 0.5, 0.6], [0.0, 0.0, 0.3, 0.2]])
    distances = [0.3 / 4, 2.2 / 4]
    expected = 1 - generalized_box_iou(predicted, truth).diagonal() + 2 * torch.tensor(distances)
    assert torch.allclose(sample_losses(DET, predicted, truth, training), expected)
