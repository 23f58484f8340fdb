"""Outputs of heads for maps with a known result."""

import pytest
import torch
from torch import Tensor, nn

from usaggr.models.heads import (
    ClassificationHead,
    DetectionHead,
    DirectHead,
    SegmentationHead,
    compute_center_of_mass,
    spatial_softmax,
)


def peaks(positions: list[tuple[int, int]], height: int, width: int) -> Tensor:
    """Return logits (1, P, height, width) of heat maps that are concentrated in one (row, column) each."""
    logits = torch.full((1, len(positions), height, width), -1e4)
    for i, (row, column) in enumerate(positions):
        logits[0, i, row, column] = 1e4
    return logits


def test_a_landmark_is_x_and_y_of_the_centre_of_its_pixel() -> None:
    centers = compute_center_of_mass(spatial_softmax(peaks([(0, 0), (1, 2), (3, 9)], 4, 10)))
    assert torch.allclose(centers[0], torch.tensor([[0.05, 0.125], [0.25, 0.375], [0.95, 0.875]]))


def test_a_uniform_heat_map_gives_the_middle_of_the_image() -> None:
    assert torch.allclose(compute_center_of_mass(spatial_softmax(torch.zeros(2, 3, 5, 8))), torch.full((2, 3, 2), 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_landmarks_are_computed_in_single_precision(dtype: torch.dtype) -> None:
    centers = compute_center_of_mass(spatial_softmax(torch.zeros(1, 1, 64, 64, dtype=dtype)))
    assert centers.dtype == torch.float32
    assert torch.allclose(centers, torch.tensor(0.5), atol=1e-6)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2)], ids=["in_order", "inside_out"])
def test_a_box_has_its_edges_in_x_from_two_maps_and_those_in_y_from_the_other_two(order: tuple[int, ...]) -> None:
    head = DetectionHead(4)
    head.edges = nn.Identity()  # type: ignore[assignment]
    maps = peaks([(3, 1), (0, 6), (0, 7), (2, 0)], 4, 10)[:, list(order)]
    assert torch.allclose(head(maps)[0], torch.tensor([0.15, 0.125, 0.65, 0.625]))


def test_enlarged_logits_are_not_shifted_against_the_image() -> None:
    """Expected values are interpolated by hand between pixel centers, which are at halves."""
    head = SegmentationHead(1, 1, stride=4)
    head.logits = nn.Identity()  # type: ignore[assignment]
    centers = head(torch.tensor([[[[0.0, 1.0]]]]))
    assert centers[0, 0, 0].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]


def test_classes_are_read_from_the_mean_over_the_map() -> None:
    head = ClassificationHead(3, 2, dropout=0.0, reads="encoder")
    maps = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    means = torch.stack([sample.flatten(1).mean(dim=1) for sample in maps])
    assert torch.allclose(head(maps), means @ head.logits.weight.T + head.logits.bias, atol=1e-6)


def test_direct_landmarks_are_read_from_a_grid_that_keeps_positions() -> None:
    head = DirectHead(1, 2, reads="encoder")
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    with torch.no_grad():
        head.coordinates.weight.copy_(torch.arange(4 * 16).reshape(4, 16) / 64)
        head.coordinates.bias.zero_()
    cells = [0, 1, 4, 5, 8, 9, 12, 13]  # the left half of the grid of 4 x 4
    assert torch.allclose(head(left)[0].flatten(), head.coordinates.weight[:, cells].sum(dim=1).sigmoid())
