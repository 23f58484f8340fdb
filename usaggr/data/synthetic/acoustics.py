"""B-mode imaging of a scene: speckle from scatterers and a point-spread function, attenuation, shadow, compression.

In beam space, where the point-spread function is the same everywhere: a complex Gaussian scatterer field, scaled by the
tissue's echo and by what is left of the sound at its depth, is convolved with a Gaussian pulse; its magnitude is the
envelope, with Rayleigh statistics in homogeneous tissue (Wagner et al. 1983), which is compressed in dB.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.synthetic.geometry import SAMPLES, beam_places, scan_convert
from usaggr.data.synthetic.scene import Motion, Scene
from usaggr.data.synthetic.shapes import Field

PULSE = 1.1
"""Standard deviation of the point-spread function along the beam, in samples."""
BEAM_WIDTH = (1.0, 1.9)
"""The same across the beams, at the probe and at full depth, in beams."""
DYNAMIC_RANGE = 55.0
"""dB from black to white."""
WHITE = 4.0
"""dB that is shown white; 0 is the mean of the brightest tissue."""
NOISE = -58.0
"""dB of the receiver's noise, which does not fade with depth but is amplified."""
SOFT_TISSUE = 3.0
"""Loss of amplitude over the image's depth in soft tissue, in nepers, there and back."""
TGC = 0.85
"""Share of soft tissue's attenuation that time gain compensation takes back."""


def render(scene: Scene, motion: Motion, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The B-mode image (H, W) of a scene."""
    compressed = compress(envelope(scene, motion, rng))
    image = scan_convert(compressed, scene.probe)
    return np.rint(image * 255).astype(np.uint8)


def envelope(scene: Scene, motion: Motion, rng: np.random.Generator) -> NDArray[np.float32]:
    """Amplitude of the echoes before compression: (SAMPLES, BEAMS); 1 is the brightest tissue at the probe."""
    x, y = motion.to_anatomy(*beam_places(scene.probe))
    echo, outline, attenuation = _tissue(scene, x, y)
    left = np.exp(-SOFT_TISSUE * np.cumsum(attenuation, axis=0) / SAMPLES)
    gain = np.exp(TGC * SOFT_TISSUE * (np.arange(SAMPLES) + 0.5) / SAMPLES)[:, None]
    speckle = _scatter(rng, x.shape) * (_amplitude(echo) * left * gain)
    speckle = _point_spread(speckle) + outline * left * gain
    noise = _scatter(rng, x.shape) * _amplitude(np.array(NOISE)) * gain
    return np.abs(speckle + noise).astype(np.float32)


def compress(amplitude: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log compression: amplitudes to [0, 1] over the dynamic range."""
    level = 20 * np.log10(np.maximum(amplitude, 1e-6))
    return np.clip((level - WHITE + DYNAMIC_RANGE) / DYNAMIC_RANGE, 0, 1).astype(np.float32)


def _tissue(scene: Scene, x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Echo in dB, amplitude of outlines, and attenuation at each sample."""
    echo = np.full(x.shape, scene.background)
    attenuation = np.ones(x.shape)
    outline = np.zeros(x.shape)
    for structure in scene.structures:
        distance = structure.shape(x, y)
        inside = distance < 0
        echo[inside] = structure.echo
        attenuation[inside] = structure.attenuation
        outline[inside] = 0
        if structure.edge is not None:
            along, across = np.gradient(distance)
            # An interface reflects to the probe what it meets at right angles, and scatters a little to all sides.
            facing = 0.25 + 0.75 * np.abs(along) / np.maximum(np.hypot(along, across), 1e-9)
            near = np.exp(-((distance / structure.edge_width) ** 2))
            outline = np.maximum(outline, _amplitude(np.array(structure.edge)) * facing * near)
    return echo, outline, attenuation


def _scatter(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Scatterers: complex Gaussian, mean power 1."""
    parts = rng.standard_normal((2, *shape), dtype=np.float32) / np.sqrt(2)
    found: NDArray[np.complex64] = parts[0] + 1j * parts[1]
    return found


def _point_spread(field: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
    """The field seen through the point-spread function, whose power is 1; beams widen with depth."""
    depth = ((np.arange(field.shape[0]) + 0.5) / field.shape[0])[:, None]
    near, far = (_blur(field, width) for width in BEAM_WIDTH)
    mixed: NDArray[np.complexfloating] = near * np.sqrt(1 - depth) + far * np.sqrt(depth)
    # Both are views of the same scatterers: their mixture's power is kept at 1 by their correlation.
    shared = _overlap(*BEAM_WIDTH)
    return mixed / np.sqrt(1 + 2 * shared * np.sqrt(depth * (1 - depth)))


def _blur(field: NDArray[np.complexfloating], width: float) -> NDArray[np.complexfloating]:
    parts = [
        cv2.GaussianBlur(part.astype(np.float32), (0, 0), sigmaX=width, sigmaY=PULSE, borderType=cv2.BORDER_REFLECT)
        for part in (field.real, field.imag)
    ]
    power = 1 / (4 * np.pi * width * PULSE)
    found: NDArray[np.complexfloating] = (parts[0] + 1j * parts[1]) / np.sqrt(power)
    return found


def _overlap(first: float, second: float) -> float:
    """Correlation of white noise seen through two Gaussians of these widths."""
    return float(np.sqrt(2 * first * second / (first**2 + second**2)))


def _amplitude(level: Field) -> Field:
    """Amplitude of a level in dB."""
    return 10 ** (level / 20)
