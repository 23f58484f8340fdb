"""Oracles: MONAI for DSC, HD95 and NSD; for HD, the challenge's words written out by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from usaggr.metrics.segmentation import class_scores, distances, dsc, mean_dsc

Mask = NDArray[np.bool_]
masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def blob(seed: int, shape: tuple[int, int] = (60, 80)) -> Mask:
    noise = np.random.default_rng(seed).normal(size=shape)
    found: Mask = ndimage.gaussian_filter(noise, 6) > 0.01
    return found


def brute_force_hd(truth: Mask, predicted: Mask) -> float:
    if truth.any() != predicted.any():
        return float(np.hypot(*truth.shape))
    if not truth.any():
        return 0.0
    a, b = np.argwhere(truth), np.argwhere(predicted)
    between = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float(max(between.min(axis=0).max(), between.min(axis=1).max()))


def monai_scores(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    import torch
    from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice

    t, p = (torch.from_numpy(np.stack([~m, m])[None].astype(np.float32)) for m in (truth, predicted))
    dice = DiceMetric(include_background=False)(p, t)
    hd95 = compute_hausdorff_distance(p, t, percentile=95)
    nsd = compute_surface_dice(p, t, class_thresholds=[tolerance])
    return float(dice), float(hd95), float(nsd)


@settings(deadline=None)
@given(masks)
def test_hd_is_the_largest_distance_between_filled_regions(pair: tuple[Mask, Mask]) -> None:
    assert distances(*pair, 1.0)[0] == pytest.approx(brute_force_hd(*pair), abs=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns of its own calls
@pytest.mark.parametrize("seed", range(6))
def test_dsc_hd95_and_nsd_are_those_of_monai(seed: int) -> None:
    truth, predicted = blob(seed), blob(seed + 100)
    _, hd95, nsd = distances(truth, predicted, 2.0)
    assert (dsc(truth, predicted), hd95, nsd) == pytest.approx(monai_scores(truth, predicted, 2.0), abs=1e-6)


@settings(deadline=None)
@given(masks)
def test_scores_are_symmetric_and_in_range(pair: tuple[Mask, Mask]) -> None:
    truth, predicted = pair
    assert distances(truth, predicted, 1.0) == pytest.approx(distances(predicted, truth, 1.0))
    hd, hd95, nsd = distances(truth, predicted, 1.0)
    assert 0 <= hd95 <= np.hypot(*truth.shape)
    assert 0 <= hd <= np.hypot(*truth.shape)
    assert 0 <= nsd <= 1
    assert 0 <= dsc(truth, predicted) <= 1


@settings(deadline=None)
@given(masks)
def test_a_perfect_prediction_has_perfect_scores(pair: tuple[Mask, Mask]) -> None:
    truth = pair[0]
    assert dsc(truth, truth) == 1
    assert distances(truth, truth, 1.0) == (0, 0, 1)


def test_a_region_inside_the_other_is_at_distance_0_one_way() -> None:
    outer = np.zeros((30, 30), bool)
    outer[5:25, 5:25] = True
    inner = np.zeros_like(outer)
    inner[14:16, 14:16] = True
    assert distances(outer, inner, 1.0)[0] == pytest.approx(np.hypot(9, 9))


def test_a_missed_class_costs_the_diagonal() -> None:
    truth = np.zeros((30, 40), np.uint8)
    truth[:10, :10] = 1
    scores = class_scores(truth, np.zeros_like(truth), 2, 1.0)
    assert scores == {"dsc": 0, "hd": 50, "hd95": 50, "nsd": 0}


def test_a_class_absent_from_both_is_perfect_and_classes_are_averaged() -> None:
    truth = np.zeros((30, 40), np.uint8)
    truth[:10, :10] = 1
    half = truth.copy()
    half[:5] = 0
    assert class_scores(truth, half, 3, 1.0)["dsc"] == pytest.approx((2 * 50 / 150 + 1) / 2)
    assert mean_dsc(truth, half, 3) == class_scores(truth, half, 3, 1.0)["dsc"]


def test_large_masks_are_as_exact_as_small_ones() -> None:
    truth, predicted = np.zeros((900, 1100), bool), np.zeros((900, 1100), bool)
    truth[3, 5], predicted[880, 1090] = True, True
    assert distances(truth, predicted, 1.0)[0] == pytest.approx(np.hypot(877, 1085), abs=1e-9)
