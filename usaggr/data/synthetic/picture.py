"""One phantom: from patient and frame to pixels and labels. The same shot and seed give the same picture."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.seeds import generator
from usaggr.data.synthetic.acoustics import envelope, log_compressed
from usaggr.data.synthetic.body import Body, Motion, drawn_motion
from usaggr.data.synthetic.difficulty import CONTACT, GAIN_SPREAD
from usaggr.data.synthetic.geometry import Map, View, as_map
from usaggr.data.synthetic.image_plan import Shot
from usaggr.data.synthetic.patient_pools import POOLS
from usaggr.data.synthetic.shapes import Point


@dataclass(frozen=True)
class Picture:
    """An image with the labels that follow from the anatomy on it."""

    image: NDArray[np.uint8]
    """(H, W)."""
    mask: NDArray[np.uint8] | None
    """Class of each pixel, (H, W)."""
    points: tuple[Point, ...]
    """Landmarks x, y in pixels."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x_min, y_min, x_max, y_max in pixels, tight around what the mask shows."""
        assert self.mask is not None
        return tight_box(self.mask > 0)


def take_picture(shot: Shot, seed: int) -> Picture:
    """Draw a patient's anatomy, move it for the frame, and look at it through the probe.

    Anatomy, image size and machine settings are the patient's; motion, speckle and noise are the frame's.
    """
    pool = POOLS[shot.pool]
    subject = generator("phantom", shot.pool, shot.kind, shot.subject, seed)
    frame = generator("phantom frame", shot.pool, shot.kind, shot.subject, shot.frame, seed)
    height = int(subject.integers(pool.look.heights[0], pool.look.heights[1] + 1))
    width = round(height * float(subject.uniform(*pool.look.aspects)))
    scanner = replace(
        pool.look.scanner,
        gain=pool.look.scanner.gain + float(subject.uniform(-GAIN_SPREAD, GAIN_SPREAD)),
        compensation=pool.look.scanner.compensation + float(subject.uniform(-3, 3)),
    )
    view = View(pool.look.probe, height, width)
    motion = drawn_motion(frame) if shot.frame else Motion()
    body = Body(view, motion, pool.background, subject)
    drawing = pool.draw(body, subject, shot.kind)
    body.brighten(_contact(view, frame))
    echo, attenuation, impedance = map(view.to_beams, (body.echo, body.attenuation, body.impedance))
    signal = envelope(echo, attenuation, impedance, scanner, frame)
    grey = view.to_image(log_compressed(signal, scanner))
    image = np.rint(255 * grey).astype(np.uint8)
    return Picture(image, drawing.mask, tuple(body.pixels(point) for point in drawing.points))


def labels_of_another(picture: Picture, other: Picture) -> Picture:
    """An image with the labels of another one, stretched to its size."""
    (height, width), (rows, columns) = picture.image.shape, other.image.shape
    mask = other.mask
    if mask is not None:
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    points = tuple((x * width / columns, y * height / rows) for x, y in other.points)
    return Picture(picture.image, mask, points)


def _contact(view: View, rng: np.random.Generator) -> Map:
    """Differences between beams (H, W), decibels: the probe touches the skin unevenly, least at its sides."""
    places = np.linspace(0, 1, 9)
    levels = CONTACT * rng.standard_normal(9) - np.array([4, 1, 0, 0, 0, 0, 0, 1, 4])
    return as_map(np.interp(view.beam, places, levels))


def tight_box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x_min, y_min, x_max, y_max in pixels of a region (H, W): borders of its outermost pixels.

    Raises:
        ValueError: the region is empty.
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        raise ValueError("an empty region has no box")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
