"""Scores of masks, compared with MONAI (DSC, HD95, NSD) and with the challenge's definition by brute force (HD)."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from tests.examples import share_of_examples
from usaggr.metrics.segmentation import EXACT_SIDE, compute_distances, distance_transform, dsc, mean_dsc, score_classes

Mask = NDArray[np.bool_]
Pair = tuple[Mask, Mask]
small = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
present_in_both = small.filter(lambda pair: pair[0].any() and pair[1].any())

monai = pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns about its own calls


def _square(shape: tuple[int, int], y: slice, x: slice) -> Mask:
    mask = np.zeros(shape, bool)
    mask[y, x] = True
    return mask


def blob(seed: int, shape: tuple[int, int] = (60, 80)) -> Mask:
    noise = np.random.default_rng(seed).normal(size=shape)
    region: Mask = ndimage.gaussian_filter(noise, 6) > 0.01
    return region


def brute_force_hd(truth: Mask, predicted: Mask) -> float:
    if truth.any() != predicted.any():
        return float(np.hypot(*truth.shape))
    if not truth.any():
        return 0.0
    a, b = np.argwhere(truth), np.argwhere(predicted)
    between = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float(max(between.min(axis=0).max(), between.min(axis=1).max()))


def monai_scores(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    """Return MONAI's DSC, HD95 and NSD.

    The percentile of MONAI's distances is computed here: torch.quantile computes the rank in single precision, so that
    its result can differ by 1e-5 pixels and more. Both must agree within 1e-3.
    """
    import torch
    from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice
    from monai.metrics.utils import get_edge_surface_distance

    t, p = (torch.from_numpy(np.stack([~m, m])[None].astype(np.float32)) for m in (truth, predicted))
    dice = DiceMetric(include_background=False)(p, t)
    nsd = compute_surface_dice(p, t, class_thresholds=[tolerance])
    _, both_ways, _ = get_edge_surface_distance(p[0, 1].bool(), t[0, 1].bool(), symmetric=True)
    hd95 = max(float(np.percentile(d.double().numpy(), 95)) for d in both_ways)
    assert float(compute_hausdorff_distance(p, t, percentile=95)) == pytest.approx(hd95, abs=1e-3)
    return float(dice), hd95, float(nsd)


def our_scores(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    _, hd95, nsd = compute_distances(truth, predicted, tolerance)
    return dsc(truth, predicted), hd95, nsd


@given(small)
def test_hd_is_the_largest_distance_between_filled_regions(pair: Pair) -> None:
    assert compute_distances(*pair, 1.0)[0] == pytest.approx(brute_force_hd(*pair), abs=1e-9)


@pytest.mark.parametrize("shape", [(300, 420), (750, 720)], ids=["opencv", "scipy"])
@pytest.mark.parametrize("seed", range(2))
def test_hd_of_large_regions_is_that_of_their_distance_transforms(seed: int, shape: tuple[int, int]) -> None:
    truth, predicted = (blob(seed + i, (shape[0] // 5, shape[1] // 5)).repeat(5, 0).repeat(5, 1) for i in (0, 50))
    to_p, to_t = ndimage.distance_transform_edt(~predicted), ndimage.distance_transform_edt(~truth)
    expected = max(to_p[truth].max(), to_t[predicted].max())
    assert compute_distances(truth, predicted, 1.0)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "shape", [(EXACT_SIDE, EXACT_SIDE), (EXACT_SIDE, 5), (EXACT_SIDE + 1, EXACT_SIDE + 50)], ids=lambda s: f"{s}"
)
def test_every_distance_in_the_largest_crops_is_exact(shape: tuple[int, int]) -> None:
    """Single precision has its largest errors at the largest distances from a single pixel."""
    corner = _square(shape, slice(0, 1), slice(0, 1))
    y, x = np.indices(shape)
    transform = distance_transform(corner).astype(float)
    assert (np.rint(transform**2) == y**2 + x**2).all()
    farthest = compute_distances(corner, _square(shape, slice(-1, None), slice(-1, None)), 1.0)[0]
    assert farthest == pytest.approx(np.hypot(shape[0] - 1, shape[1] - 1), abs=1e-9)


@pytest.mark.parametrize("pixels", [2, 40, 3000])
def test_every_distance_to_scattered_pixels_is_exact_in_the_widest_crops(pixels: int) -> None:
    """Parabolas that intersect close to whole positions are those that single precision may confuse."""
    rng = np.random.default_rng(pixels)
    scattered = np.zeros((500, EXACT_SIDE), bool)
    scattered[rng.integers(0, 500, pixels), rng.integers(0, EXACT_SIDE, pixels)] = True
    expected = np.rint(ndimage.distance_transform_edt(~scattered) ** 2)
    assert (np.rint(distance_transform(scattered).astype(float) ** 2) == expected).all()


def test_the_setting_of_ipp_is_restored() -> None:
    """IPP rounds differently, so it is not used here; other code may use it."""
    before = cv2.ipp.useIPP()
    try:
        for setting in (False, True):
            cv2.ipp.setUseIPP(setting)
            expected = cv2.ipp.useIPP()
            distance_transform(np.eye(5, dtype=bool))
            assert cv2.ipp.useIPP() == expected
    finally:
        cv2.ipp.setUseIPP(before)


def reference_distances(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    """Return HD, HD95 and NSD by definition, on complete images with SciPy's transforms and numpy's percentile."""
    if not (truth.any() and predicted.any()):
        diagonal = float(np.hypot(*truth.shape))
        return (0.0, 0.0, 1.0) if truth.any() == predicted.any() else (diagonal, diagonal, 0.0)
    edt = ndimage.distance_transform_edt
    hd = max(edt(~predicted)[truth].max(), edt(~truth)[predicted].max())
    edge_t, edge_p = (mask & ~ndimage.binary_erosion(mask) for mask in (truth, predicted))
    from_t, from_p = edt(~edge_p)[edge_t], edt(~edge_t)[edge_p]
    hd95 = max(np.percentile(from_t, 95), np.percentile(from_p, 95))
    near = np.concatenate([from_t, from_p]) <= tolerance
    return float(hd), float(hd95), float(near.mean())


tolerances = st.floats(0, 30) | st.integers(0, 900).map(np.sqrt)  # equal to a possible distance, and between two


@given(small, tolerances)
def test_distances_of_odd_masks_equal_the_reference(pair: Pair, tolerance: float) -> None:
    assert compute_distances(*pair, tolerance) == pytest.approx(reference_distances(*pair, tolerance), abs=1e-9, rel=0)


@share_of_examples(0.4)
@given(st.integers(0, 10**6), st.integers(1, 160), st.integers(1, 160), st.floats(-0.05, 0.05), tolerances)
def test_distances_of_blobs_equal_the_reference(
    seed: int, height: int, width: int, level: float, tolerance: float
) -> None:
    """The blobs cover any share of the image, touch its borders or not, and have one or many components."""
    noise = np.random.default_rng(seed).normal(size=(2, height, width))
    truth, predicted = (ndimage.gaussian_filter(field, 4) > level for field in noise)
    expected = reference_distances(truth, predicted, tolerance)
    assert compute_distances(truth, predicted, tolerance) == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.parametrize("shape", [(900, 1290), (EXACT_SIDE + 20, 300)], ids=["single_precision", "double_precision"])
def test_distances_in_large_images_equal_the_reference(shape: tuple[int, int]) -> None:
    truth, predicted = (blob(seed, (shape[0] // 10, shape[1] // 10)).repeat(10, 0).repeat(10, 1) for seed in (1, 51))
    expected = reference_distances(truth, predicted, 0.005 * np.hypot(*shape))
    assert compute_distances(truth, predicted, 0.005 * np.hypot(*shape)) == pytest.approx(expected, abs=1e-9, rel=0)


@monai
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_dsc_hd95_and_nsd_of_blobs_equal_monais(seed: int, tolerance: float) -> None:
    pair = blob(seed), blob(seed + 100)
    assert our_scores(*pair, tolerance) == pytest.approx(monai_scores(*pair, tolerance), abs=1e-6, rel=1e-6)


@monai
@given(present_in_both, st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]))
def test_dsc_hd95_and_nsd_of_odd_masks_equal_monais(pair: Pair, tolerance: float) -> None:
    assert our_scores(*pair, tolerance) == pytest.approx(monai_scores(*pair, tolerance), abs=1e-6, rel=1e-6)


@monai
@pytest.mark.parametrize(
    "pair",
    [
        (_square((20, 31), slice(4, 5), slice(7, 8)), _square((20, 31), slice(15, 16), slice(30, 31))),
        (_square((20, 31), slice(0, 20), slice(0, 31)), _square((20, 31), slice(5, 9), slice(5, 9))),
        (_square((20, 31), slice(0, 8), slice(0, 9)), _square((20, 31), slice(0, 6), slice(3, 12))),
        (_square((20, 31), slice(3, 4), slice(0, 31)), _square((20, 31), slice(0, 20), slice(6, 7))),
        (_square((1, 40), slice(0, 1), slice(3, 30)), _square((1, 40), slice(0, 1), slice(5, 40))),
        (_square((200, 7), slice(0, 1), slice(0, 1)), _square((200, 7), slice(199, 200), slice(6, 7))),
    ],
    ids=["single_pixels", "full_image", "touching_the_border", "lines", "one_row", "corners_of_a_strip"],
)
def test_scores_of_borders_lines_and_single_pixels_equal_the_references(pair: Pair) -> None:
    assert our_scores(*pair, 1.0) == pytest.approx(monai_scores(*pair, 1.0), abs=1e-6, rel=1e-6)
    assert compute_distances(*pair, 1.0)[0] == pytest.approx(brute_force_hd(*pair), abs=1e-9)


@given(small)
def test_scores_are_symmetric_and_in_range(pair: Pair) -> None:
    truth, predicted = pair
    assert compute_distances(truth, predicted, 1.0) == compute_distances(predicted, truth, 1.0)
    assert dsc(truth, predicted) == dsc(predicted, truth)
    hd, hd95, nsd = compute_distances(truth, predicted, 1.0)
    assert 0 <= hd95 <= np.hypot(*truth.shape)
    assert 0 <= hd <= np.hypot(*truth.shape)
    assert 0 <= nsd <= 1
    assert 0 <= dsc(truth, predicted) <= 1


@given(small)
def test_a_perfect_prediction_has_perfect_scores(pair: Pair) -> None:
    truth = pair[0]
    assert dsc(truth, truth) == 1
    assert compute_distances(truth, truth, 0.0) == (0, 0, 1)


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.transpose, np.rot90], ids=lambda f: f.__name__)
@given(pair=small)
def test_flipping_or_rotating_an_image_changes_no_score(turn: Callable[[Mask], Mask], pair: Pair) -> None:
    turned = turn(pair[0]), turn(pair[1])
    assert compute_distances(*turned, 1.0) == pytest.approx(compute_distances(*pair, 1.0), abs=1e-9)
    assert dsc(*turned) == dsc(*pair)


@given(present_in_both, st.tuples(*[st.integers(0, 5)] * 4))
def test_background_around_an_image_changes_no_score(pair: Pair, margin: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = margin
    wider = tuple(np.pad(mask, ((top, bottom), (left, right))) for mask in pair)
    assert compute_distances(*wider, 1.0) == compute_distances(*pair, 1.0)


@given(present_in_both, st.floats(0, 5), st.floats(0, 5))
def test_a_larger_tolerance_never_lowers_nsd(pair: Pair, first: float, second: float) -> None:
    strict, lenient = sorted((first, second))
    assert compute_distances(*pair, strict)[2] <= compute_distances(*pair, lenient)[2]
    assert compute_distances(*pair, float(np.hypot(*pair[0].shape)))[2] == 1


def test_hd_of_a_region_inside_the_other_is_the_distance_of_the_outer_one() -> None:
    outer = _square((30, 30), slice(5, 25), slice(5, 25))
    inner = _square((30, 30), slice(14, 16), slice(14, 16))
    assert compute_distances(outer, inner, 1.0)[0] == pytest.approx(np.hypot(9, 9))


def test_a_shift_is_measured_in_pixels() -> None:
    truth, shifted = (_square((40, 60), slice(10, 20), slice(left, left + 12)) for left in (10, 14))
    hd, hd95, nsd = compute_distances(truth, shifted, 4.0)
    assert (hd, hd95, nsd) == (4, 4, 1)
    assert compute_distances(truth, shifted, 3.9)[2] < 1


def test_the_distances_of_a_class_in_only_one_mask_are_the_diagonal() -> None:
    truth = np.zeros((30, 40), np.uint8)
    nothing = truth.copy()
    truth[:10, :10] = 1
    expected = {"dsc": 0, "hd": 50, "hd95": 50, "nsd": 0}
    assert score_classes(truth, nothing, 2, 1.0) == expected
    assert score_classes(nothing, truth, 2, 1.0) == expected


def test_a_class_in_neither_mask_has_perfect_scores() -> None:
    empty = np.zeros((30, 40), np.uint8)
    assert score_classes(empty, empty, 4, 1.0) == {"dsc": 1, "hd": 0, "hd95": 0, "nsd": 1}


def test_scores_are_averaged_over_foreground_classes_only() -> None:
    truth = np.zeros((30, 40), np.uint8)
    truth[:10, :10], truth[20:, 20:] = 1, 2
    predicted = truth.copy()
    predicted[:5] = 0  # half of class 1; class 2 perfect; class 3 missing from both
    scores = score_classes(truth, predicted, 4, 1.0)
    assert scores["dsc"] == pytest.approx((2 * 50 / 150 + 1 + 1) / 3)
    assert scores["hd"] == pytest.approx((5 + 0 + 0) / 3)
    assert mean_dsc(truth, predicted, 4) == scores["dsc"]


def test_a_mask_of_16_bits_is_compared_by_value() -> None:
    truth = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint16)
    predicted = np.random.default_rng(1).integers(0, 3, (20, 30)).astype(np.uint8)
    assert score_classes(truth, predicted, 3, 1.0) == score_classes(truth.astype(np.uint8), predicted, 3, 1.0)


def test_views_of_larger_arrays_are_scored_like_copies() -> None:
    masks = np.random.default_rng(0).integers(0, 3, (2, 40, 60), dtype=np.uint8)
    truth, predicted = masks[:, ::2, 1::3]
    assert score_classes(truth, predicted, 3, 1.0) == score_classes(truth.copy(), predicted.copy(), 3, 1.0)
