"""Drawing of one phantom: pixels and labels of a shot. The same shot and seed give the same picture."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.seeds import make_generator
from usaggr.data.synthetic.acoustics import compress_dynamic_range, simulate_envelope
from usaggr.data.synthetic.body import Body, Motion, draw_motion
from usaggr.data.synthetic.difficulty import CONTACT, GAIN_SPREAD
from usaggr.data.synthetic.geometry import Map, View, convert_to_map
from usaggr.data.synthetic.image_plan import Shot
from usaggr.data.synthetic.patient_pools import POOLS
from usaggr.data.synthetic.shapes import Point


@dataclass(frozen=True)
class Picture:
    """An image with the labels that follow from the anatomy on it."""

    image: NDArray[np.uint8]
    """(H, W) gray values."""
    mask: NDArray[np.uint8] | None
    """(H, W) class of each pixel; None for tasks without masks."""
    points: tuple[Point, ...]
    """Landmarks x, y in pixels."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Tight box around the foreground of the mask: x_min, y_min, x_max, y_max in pixels."""
        assert self.mask is not None
        return find_tight_box(self.mask > 0)


def take_picture(shot: Shot, seed: int) -> Picture:
    """Draw a patient's anatomy, move it for the frame, and simulate the image of the probe.

    Anatomy, image size and machine settings depend on the patient; motion, speckle and noise depend on the frame.
    """
    # The order of random draws determines the picture: a change needs a new GENERATOR_VERSION.
    pool = POOLS[shot.pool]
    subject = make_generator("phantom", shot.pool, shot.kind, shot.subject, seed)
    frame = make_generator("phantom frame", shot.pool, shot.kind, shot.subject, shot.frame, seed)
    height = int(subject.integers(pool.appearance.heights[0], pool.appearance.heights[1] + 1))
    width = round(height * float(subject.uniform(*pool.appearance.aspects)))
    scanner = replace(
        pool.appearance.scanner,
        gain=pool.appearance.scanner.gain + float(subject.uniform(-GAIN_SPREAD, GAIN_SPREAD)),
        compensation=pool.appearance.scanner.compensation + float(subject.uniform(-3, 3)),
    )
    view = View(pool.appearance.probe, height, width)
    motion = draw_motion(frame) if shot.frame else Motion()  # the first frame defines the anatomy's position
    body = Body(view, motion, pool.background, subject)
    drawing = pool.draw(body, subject, shot.kind)
    body.brighten(_make_contact(view, frame))
    echo, attenuation, impedance = map(view.to_beams, (body.echo, body.attenuation, body.impedance))
    signal = simulate_envelope(echo, attenuation, impedance, scanner, frame)
    gray = view.to_image(compress_dynamic_range(signal, scanner))
    image = np.rint(255 * gray).astype(np.uint8)
    return Picture(image, drawing.mask, tuple(body.to_pixels(point) for point in drawing.points))


def replace_labels(picture: Picture, other: Picture) -> Picture:
    """Return an image with the labels of another one, stretched to its size."""
    (height, width), (other_height, other_width) = picture.image.shape, other.image.shape
    mask = other.mask
    if mask is not None:
        # INTER_NEAREST_EXACT uses the centers of pixels, which INTER_NEAREST does not.
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    points = tuple((x * width / other_width, y * height / other_height) for x, y in other.points)
    return Picture(picture.image, mask, points)


def _make_contact(view: View, rng: np.random.Generator) -> Map:
    """Return differences between beams (H, W) in decibels: contact with the skin is uneven, and worst at the sides."""
    positions = np.linspace(0, 1, 9)
    # Nine points over the aperture, interpolated between them; the last ones are 4 dB lower on average.
    levels = CONTACT * rng.standard_normal(9) - np.array([4, 1, 0, 0, 0, 0, 0, 1, 4])
    return convert_to_map(np.interp(view.beam, positions, levels))


def find_tight_box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return x_min, y_min, x_max, y_max of a region (H, W), in pixels; x_max and y_max are exclusive.

    Raises:
        ValueError: The region is empty.
    """
    y, x = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(y):
        raise ValueError("an empty region has no box")
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1
