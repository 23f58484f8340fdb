import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.factories import noise
from usaggr.data.batches.resizing import resize_image, resize_mask


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(32, 160), st.integers(32, 160)),
    st.integers(0, 5),
)
def test_gray_resized_once_is_gray_resized_in_each_channel(
    stored: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    gray = noise(seed, *stored)[:, :, None]
    assert np.array_equal(resize_image(gray, size, 3), resize_image(np.repeat(gray, 3, 2), size))


def test_shrinking_takes_means_and_growing_does_not_leave_the_range() -> None:
    image = noise(0, 64, 96, 3)
    means = image.reshape(32, 2, 32, 3, 3).mean((1, 3))
    assert np.abs(resize_image(image, (32, 32)) - means).max() <= 0.5 + 1e-6
    tall = resize_image(image[:, :32], (32, 64))  # one side shrinks, the other grows
    halved = image[:, :32].reshape(32, 2, 32, 3).mean(1)
    expected = cv2.resize(halved.astype(np.float32), (64, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(tall - expected).max() <= 1.5


@pytest.mark.parametrize("size", [(16, 64), (80, 128), (48, 64), (112, 192)])  # no center meets an edge
def test_masks_take_the_class_of_the_nearest_centre_as_pillow_does(size: tuple[int, int]) -> None:
    mask = noise(0, 48, 64) % 5
    expected = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
    assert (resize_mask(mask, size) == expected).all()
