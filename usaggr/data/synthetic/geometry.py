"""From beams to the image: where each beam's samples lie, and scan conversion."""

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.synthetic.scene import Probe
from usaggr.data.synthetic.shapes import Field

BEAMS = 128
SAMPLES = 224
"""Along a beam."""


def pixel_places(probe: Probe) -> tuple[Field, Field]:
    """Coordinates x and y of each pixel's centre: (H, W) each, in units of the image's height."""
    rows, columns = np.mgrid[: probe.height, : probe.width] + 0.5
    return (columns - probe.width / 2) / probe.height, rows / probe.height


def beam_places(probe: Probe) -> tuple[Field, Field]:
    """Coordinates x and y of each sample of each beam: (SAMPLES, BEAMS) each."""
    depth = ((np.arange(SAMPLES) + 0.5) / SAMPLES)[:, None]
    across = ((np.arange(BEAMS) + 0.5) / BEAMS * 2 - 1)[None, :]
    if probe.kind == "linear":
        x = across * probe.width / probe.height / 2
        return np.broadcast_to(x, (SAMPLES, BEAMS)).copy(), np.broadcast_to(depth, (SAMPLES, BEAMS)).copy()
    angle, distance = across * probe.angle, probe.radius + depth
    return distance * np.sin(angle), distance * np.cos(angle) - probe.radius


def scan_convert(beams: NDArray[np.float32], probe: Probe) -> NDArray[np.float32]:
    """The image (H, W) of samples (SAMPLES, BEAMS); black where no beam goes."""
    depth, across = _beam_coordinates(probe)
    rows = (depth * SAMPLES - 0.5).astype(np.float32)
    columns = ((across + 1) / 2 * BEAMS - 0.5).astype(np.float32)
    image = cv2.remap(beams, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(field_of_view(probe), image, 0).astype(np.float32)


def field_of_view(probe: Probe) -> NDArray[np.bool_]:
    """Which pixels (H, W) some beam reaches."""
    depth, across = _beam_coordinates(probe)
    seen: NDArray[np.bool_] = (depth >= 0) & (depth <= 1) & (np.abs(across) <= 1)
    return seen


def _beam_coordinates(probe: Probe) -> tuple[Field, Field]:
    """Depth along its beam in [0, 1] and place across the beams in [-1, 1] of each pixel, beyond that outside."""
    x, y = pixel_places(probe)
    if probe.kind == "linear":
        return y, x / (probe.width / probe.height / 2)
    return np.hypot(x, y + probe.radius) - probe.radius, np.arctan2(x, y + probe.radius) / probe.angle
