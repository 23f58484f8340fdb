from dataclasses import replace

import numpy as np
import pytest
import torch

from usaggr.config.study import AugmentConfig
from usaggr.data.batches.augment import (
    IDENTITY,
    augment_images,
    augment_masks,
    draw_transform,
    make_sampling_grid,
    soften_until_inside,
)

STRONG = AugmentConfig(rotate=30, scale=0.3, translate=0.1, gain=0.2, offset=0.1, gamma=0.3)
SIZE = (64, 96)


def disc(center: np.ndarray, radius: float = 4) -> np.ndarray:
    """(H, W), 1 within a disc whose center is given as fractions (x, y)."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return (np.hypot(x - center[0] * SIZE[1], y - center[1] * SIZE[0]) <= radius).astype(np.float32)


def center_of(picture: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.array([(picture * x).sum() / SIZE[1], (picture * y).sum() / SIZE[0]]) / picture.sum()


@pytest.mark.parametrize("key", range(8))
def test_landmarks_move_with_the_image_and_the_mask(key: int) -> None:
    transform = draw_transform(STRONG, key, SIZE)
    point = np.array([0.4, 0.55])
    grid = make_sampling_grid([transform], SIZE)
    image = augment_images(torch.from_numpy(disc(point))[None, None], [transform], grid)[0, 0].numpy()
    mask = augment_masks(torch.from_numpy(disc(point)).to(torch.uint8)[None], grid)[0].numpy()
    expected = transform.map_points(point[None])[0]
    assert np.allclose(center_of(image > 0.5), expected, atol=0.01)
    assert np.allclose(center_of(mask.astype(float)), expected, atol=0.01)


@pytest.mark.parametrize("key", range(8))
def test_an_augmented_box_still_bounds_its_round_lesion(key: int) -> None:
    transform = draw_transform(STRONG, key, SIZE)
    grid = make_sampling_grid([transform], SIZE)
    lesion = disc(np.array([0.5, 0.5]), radius=15)
    box = np.array([0.5 - 15 / 96, 0.5 - 15 / 64, 0.5 + 15 / 96, 0.5 + 15 / 64])
    mask = augment_masks(torch.from_numpy(lesion).to(torch.uint8)[None], grid)[0].numpy()
    ys, xs = np.nonzero(mask)
    bounds = [xs.min() / 96, ys.min() / 64, (xs.max() + 1) / 96, (ys.max() + 1) / 64]
    assert np.allclose(transform.map_box(box), bounds, atol=0.02)


def test_an_augmentation_depends_on_its_key_alone() -> None:
    image = torch.rand(2, 1, *SIZE)
    first, second = (draw_transform(STRONG, key, SIZE) for key in (1, 2))
    together = augment_images(image, [first, second], make_sampling_grid([first, second], SIZE))
    alone = augment_images(image[1:], [second], make_sampling_grid([second], SIZE))
    assert torch.equal(together[1:], alone)
    assert not np.allclose(first.matrix, second.matrix)


def test_augmentations_are_independent_and_uniform_within_their_limits() -> None:
    drawn = []
    for key in range(2000):
        transform = draw_transform(STRONG, key, (64, 64))
        matrix = transform.matrix
        drawn.append(
            [
                np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) / STRONG.rotate,
                np.log(np.linalg.det(matrix)) / 2 / np.log(1 + STRONG.scale),
                *transform.shift / STRONG.translate,
                (transform.gain - 1) / STRONG.gain,
                transform.offset / STRONG.offset,
                np.log2(transform.gamma) / STRONG.gamma,
            ]
        )
    even = np.linspace(-1, 1, len(drawn))[:, None]
    assert np.abs(np.sort(drawn, axis=0) - even).max() < 0.08  # Kolmogorov-Smirnov distance of 0.04
    assert np.abs(np.corrcoef(np.transpose(drawn)) - np.eye(7)).max() < 0.1


def test_a_lesion_keeps_its_shape_in_an_image_that_is_not_square() -> None:
    """In pixels, the map is a rotation with the same zoom in all directions."""
    sides = np.array([SIZE[1], SIZE[0]], float)
    for key in range(8):
        in_pixels = draw_transform(STRONG, key, SIZE).matrix * sides[:, None] / sides[None, :]
        square = in_pixels @ in_pixels.T
        assert np.allclose(square, np.eye(2) * square[0, 0])
        assert np.linalg.det(in_pixels) > 0


def test_a_softened_transform_moves_points_half_as_far() -> None:
    points = np.random.default_rng(0).random((5, 2))
    transform = draw_transform(STRONG, 1, SIZE)
    assert np.allclose(transform.soften().map_points(points), (transform.map_points(points) + points) / 2)
    assert transform.soften().gamma == transform.gamma


def test_without_change_an_image_stays_as_it_is() -> None:
    none = AugmentConfig(rotate=0, scale=0, translate=0, gain=0, offset=0, gamma=0)
    transform = draw_transform(none, 5, SIZE)
    image = torch.rand(1, 3, *SIZE)
    assert torch.allclose(augment_images(image, [transform], make_sampling_grid([transform], SIZE)), image, atol=1e-4)


def test_pixels_from_outside_the_image_are_black_and_background() -> None:
    shifted = replace(IDENTITY, shift=np.array([0.25, 0]))
    grid = make_sampling_grid([shifted], SIZE)
    mask = augment_masks(torch.ones(1, *SIZE, dtype=torch.uint8), grid)[0]
    image = augment_images(torch.ones(1, 1, *SIZE), [shifted], grid)[0, 0]
    quarter = SIZE[1] // 4
    for picture in (mask, image):
        assert picture[:, :quarter].max() < 1e-5
        assert picture[:, quarter:].min() == 1


def test_a_landmark_never_leaves_the_image() -> None:
    corner = np.array([[0.01, 0.01], [0.99, 0.98]])
    for key in range(50):
        moved = soften_until_inside(draw_transform(STRONG, key, SIZE), corner, None).map_points(corner)
        assert moved.min() >= 0
        assert moved.max() <= 1


def test_a_transform_that_cannot_fit_becomes_none() -> None:
    outside = np.array([[1.0, 1.0]])
    fitted = soften_until_inside(draw_transform(STRONG, 3, SIZE), outside, None)
    assert fitted.map_points(outside).max() <= 1
    assert np.array_equal(IDENTITY.map_points(outside), outside)


@pytest.mark.parametrize("size", [(48, 48), (40, 64)])
def test_grids_and_gray_values_are_those_of_torch(size: tuple[int, int]) -> None:
    transforms = [draw_transform(STRONG, key, size) for key in range(20)]
    images = torch.rand((20, 1, *size), generator=torch.Generator().manual_seed(0))
    inverse = np.linalg.inv(np.stack([t.matrix for t in transforms]))
    shift = np.stack([t.shift for t in transforms])[:, :, None]
    thetas = torch.from_numpy(np.concatenate([inverse, -2 * inverse @ shift], axis=2)).float()
    expected = torch.nn.functional.affine_grid(thetas, [20, 1, *size], align_corners=False)
    grid = make_sampling_grid(transforms, size)
    torch.testing.assert_close(grid, expected, rtol=0, atol=1e-6)

    moved = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    grays = torch.tensor([(t.gain, t.offset, t.gamma) for t in transforms])
    gain, offset, gamma = grays.float().T[..., None, None, None]
    powers = (moved * gain + offset).clamp(1e-6, 1) ** gamma
    augmented = augment_images(images, transforms, grid)
    torch.testing.assert_close(augmented, powers, rtol=0, atol=1e-6)
    assert augmented.min() >= 0
    assert augmented.max() <= 1
