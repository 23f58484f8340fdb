"""Draws one frame of one subject: its image, and the labels that follow from its anatomy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.seeds import generator
from usaggr.data.synthetic.acoustics import render
from usaggr.data.synthetic.geometry import field_of_view, pixel_places
from usaggr.data.synthetic.scene import Motion, Scene
from usaggr.data.synthetic.sources import Family

MOTION = 0.02
"""Largest shift between frames of a subject, in image heights."""
TURN = 0.06
"""Largest turn between frames, in radians."""


@dataclass(frozen=True)
class Frame:
    """One image with all that is known of it; coordinates are pixels."""

    image: NDArray[np.uint8]
    """(H, W)"""
    labels: NDArray[np.uint8]
    """(H, W): the scene's label map."""
    landmarks: NDArray[np.float64]
    """(P, 2) x, y."""


def frames_of(family: Family, subject: int, most: int, seed: int) -> int:
    """How many frames a subject has: 1 to `most`."""
    return int(generator("frames", family.name, subject, seed).integers(1, most + 1))


def variety_of(family: Family, subject: int) -> str:
    """A subject's variety: they take turns."""
    return family.varieties[subject % len(family.varieties)]


def draw_frame(family: Family, subject: int, frame: int, seed: int) -> Frame:
    """A frame, determined by (family, subject, frame, seed) alone: the same whatever else is drawn."""
    scene = family.draw(generator("anatomy", family.name, subject, seed), variety_of(family, subject))
    rng = generator("frame", family.name, subject, frame, seed)
    moves = rng.uniform(-1, 1, 3)
    motion = Motion(MOTION * moves[0], MOTION * moves[1], TURN * moves[2])
    image = render(scene, motion, rng)
    landmarks = motion.to_image(np.array(scene.landmarks, dtype=float).reshape(-1, 2))
    pixels = landmarks * scene.probe.height + np.array([scene.probe.width / 2, 0])
    return Frame(image, label_map(scene, motion), pixels)


def label_map(scene: Scene, motion: Motion) -> NDArray[np.uint8]:
    """Which structure's label each pixel (H, W) shows; 0 where none has one or no beam goes."""
    x, y = motion.to_anatomy(*pixel_places(scene.probe))
    labels = np.zeros(x.shape, np.uint8)
    for structure in scene.structures:
        if structure.label:
            labels[structure.shape(x, y) < 0] = structure.label
        elif labels.any():
            labels[structure.shape(x, y) < 0] = 0
    labels[~field_of_view(scene.probe)] = 0
    return labels
