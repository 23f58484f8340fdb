"""How a machine makes an image: scatterers along the beams, pulse, attenuation, gain, envelope, log compression.

Maps are (D, B): depths along each of B beams. Levels are in decibels; 0 dB is the mean echo of soft tissue.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from usaggr.data.synthetic.geometry import Map, as_map

SPECULAR = 6.0
"""Amplitude of the mirror echo of an interface with an impedance step of 1, against soft tissue's scatterers."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Settings of the machine."""

    wavelength: float = 4.0
    """Of the pulse, in depth samples."""
    pulse: float = 1.9
    """Standard deviation of the pulse's length, in depth samples."""
    width: float = 1.1
    """Standard deviation of a beam's width at the focus, in beams."""
    focus: float = 0.45
    """Depth at which beams are narrowest, 0 to 1."""
    compensation: float = 20.0
    """Time gain compensation: decibels added over the whole depth, what soft tissue takes on the way."""
    noise: float = -38.0
    """Electronic noise before the compensation."""
    gain: float = 0.0
    """Decibels added everywhere."""
    dynamic_range: float = 54.0
    """Decibels from black to white."""
    level: float = 0.42
    """Grey value of soft tissue, 0 to 1."""
    looks: int = 2
    """Compounding: images from so many independent scatterers are averaged, which softens the speckle."""


def envelope(echo: Map, attenuation: Map, impedance: Map, scanner: Scanner, rng: np.random.Generator) -> Map:
    """The signal's envelope (D, B), amplitude 1 for soft tissue.

    Args:
        echo: level of the scatterers, decibels.
        attenuation: lost on the way there and back, decibels over the whole depth.
        impedance: steps along a beam are seen as bright interfaces.
        scanner: the machine.
        rng: draws scatterers and noise.
    """
    depths = echo.shape[0]
    sent = amplitude(-loss(attenuation))
    strength = sent * amplitude(echo)
    mirrored = np.zeros_like(echo)
    mirrored[1:] = SPECULAR * np.diff(impedance, axis=0) * sent[1:]
    signal = np.zeros_like(echo)
    for _ in range(scanner.looks):
        scatterers = rng.standard_normal(echo.shape, dtype=np.float32) * strength
        in_phase, quadrature = pulse_echo(as_map(scatterers + mirrored), scanner)
        noise = rng.standard_normal((2, *echo.shape), dtype=np.float32) * amplitude(scanner.noise)
        signal += cv2.magnitude(in_phase + noise[0], quadrature + noise[1])
    depth = np.linspace(0, 1, depths, dtype=np.float32)[:, None]
    return as_map(signal / scanner.looks * amplitude(scanner.compensation * depth))


def loss(attenuation: Map) -> Map:
    """Decibels lost down to each depth (D, B), from those over the whole depth that the tissue there would take."""
    return np.cumsum(attenuation, axis=0, dtype=np.float32) / np.float32(attenuation.shape[0])


def pulse_echo(scatterers: Map, scanner: Scanner) -> tuple[Map, Map]:
    """Echoes of a pulse in phase and in quadrature, (D, B) each: the analytic signal.

    The point spread function is a Gaussian across the beams, wider away from the focus, times a Gaussian pulse along
    them. Many scatterers a cell of resolution give fully developed speckle: the envelope is Rayleigh distributed
    (Wagner et al., IEEE Transactions on Sonics and Ultrasonics 30, 1983).
    """
    sharp = _gaussian(scanner.width)
    wide = _gaussian(2.4 * scanner.width)
    one = np.ones(1, dtype=np.float32)
    depth = np.linspace(0, 1, scatterers.shape[0], dtype=np.float32)[:, None]
    blur = np.clip(np.abs(depth - scanner.focus) / 0.6, 0, 1)
    across = (1 - blur) * cv2.sepFilter2D(scatterers, -1, sharp, one) + blur * cv2.sepFilter2D(
        scatterers, -1, wide, one
    )
    pulse = _gaussian(scanner.pulse)
    phase = 2 * np.pi / scanner.wavelength * (np.arange(len(pulse)) - len(pulse) // 2)
    along = [as_map(pulse * wave(phase)) for wave in (np.cos, np.sin)]
    in_phase, quadrature = (cv2.sepFilter2D(across, -1, one, kernel) for kernel in along)
    return as_map(in_phase), as_map(quadrature)


def log_compressed(signal: Map, scanner: Scanner) -> Map:
    """Grey values in [0, 1] of an envelope: decibels over the machine's dynamic range."""
    level = 20 / np.log(10) * cv2.log(np.maximum(signal, 1e-6)) + scanner.gain
    return as_map(np.clip(scanner.level + level / scanner.dynamic_range, 0, 1))


def amplitude(decibels: npt.ArrayLike) -> Map:
    """Of a level in decibels."""
    return as_map(np.exp(as_map(decibels) * np.float32(np.log(10) / 20)))


def _gaussian(sigma: float) -> Map:
    """A kernel of unit energy: it leaves the variance of independent scatterers as it is."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return as_map(kernel / np.sqrt((kernel**2).sum()))
