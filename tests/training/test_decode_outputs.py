import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch.nn import functional as F

from tests.training.factories import sample
from usaggr.data.samples import Sample
from usaggr.tasks import CATALOGUE
from usaggr.training.decode_outputs import compute_label_map, decode_outputs

few_values = st.sampled_from([-1.5, 0.0, 1e-30, 2.0])
odd_values = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0])


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=few_values.map(np.float32)))
def test_each_pixel_has_its_highest_class_and_the_first_of_equal_ones(logits: np.ndarray) -> None:
    label_map = compute_label_map(logits)
    assert label_map.dtype == np.uint8
    assert (label_map == logits.argmax(axis=0)).all()


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=odd_values.map(np.float32)))
def test_logits_that_are_no_numbers_have_the_labels_of_argmax(logits: np.ndarray) -> None:
    assert (compute_label_map(logits) == logits.argmax(axis=0)).all()


@pytest.mark.parametrize("task_id", ["breast_lesion", "fetal_abdomen_multi"])
def test_masks_are_those_of_argmax_over_enlarged_logits(task_id: str) -> None:
    task = CATALOGUE[task_id]
    logits = torch.randn(2, task.num_classes, 12, 12, generator=torch.Generator().manual_seed(0))
    samples = [sample(task_id, "a", 40, 31), sample(task_id, "b", 9, 25)]
    for prediction, sample_logits, mask_of in zip(decode_outputs(task, logits, samples), logits, samples, strict=True):
        size = (mask_of.height, mask_of.width)
        expected = F.interpolate(sample_logits[None], size=size, mode="bilinear", align_corners=False)[0].argmax(dim=0)
        assert prediction.mask is not None
        assert (prediction.mask == expected.numpy()).all()
        assert prediction.sample_id == mask_of.sample_id


def test_boxes_points_and_probabilities_are_those_of_the_original_image() -> None:
    box = decode_outputs(CATALOGUE["thyroid_nodule_det"], torch.tensor([[0.1, 0.5, 0.2, 1.0]]), [_wide("d")])[0].box
    points = decode_outputs(CATALOGUE["FUGC"], torch.tensor([[[0.5, 0.5], [0.25, 0.0]]]), [_wide("p")])[0].points
    probs = decode_outputs(CATALOGUE["breast_2cls"], torch.tensor([[0.0, np.log(3.0)]]), [_wide("c")])[0].probs
    assert box == pytest.approx([20, 50, 40, 100], abs=1e-4)
    assert points is not None
    assert points.tolist() == [[100, 50], [50, 0]]
    assert probs == pytest.approx([0.25, 0.75], abs=1e-6)


def _wide(name: str) -> Sample:
    return sample("x", name, 100, 200)
