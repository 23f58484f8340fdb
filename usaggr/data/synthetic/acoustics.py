"""Simulation of an ultrasound image: scatterers, pulse, attenuation, gain, envelope and log compression.

Maps are (D, B): depths along each of B beams. Levels are in decibels; 0 dB is the mean echo of soft tissue.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from usaggr.data.synthetic.geometry import Map, convert_to_map

SPECULAR = 6.0
"""Amplitude of the specular echo at an impedance step of 1, relative to the scatterers of soft tissue."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Settings of the ultrasound machine."""

    wavelength: float = 4.0
    """Wavelength of the pulse, in depth samples."""
    pulse: float = 1.9
    """Standard deviation of the pulse's length, in depth samples."""
    width: float = 1.1
    """Standard deviation of a beam's width at the focus, in beams."""
    focus: float = 0.45
    """Depth at which beams are narrowest, 0 to 1."""
    compensation: float = 20.0
    """Time gain compensation: decibels added over the full depth, which offset the attenuation of soft tissue."""
    noise: float = -38.0
    """Electronic noise before the compensation, in decibels."""
    gain: float = 0.0
    """Gain at all depths, in decibels."""
    dynamic_range: float = 54.0
    """Range from black to white, in decibels."""
    level: float = 0.42
    """Gray value of soft tissue, 0 to 1."""
    compounded_images: int = 2
    """Number of images of independent scatterers that are averaged (compounding), which softens the speckle."""


def simulate_envelope(echo: Map, attenuation: Map, impedance: Map, scanner: Scanner, rng: np.random.Generator) -> Map:
    """Return the envelope of the signal (D, B), with an amplitude of 1 for soft tissue.

    Args:
        echo: (D, B) level of the scatterers, in decibels.
        attenuation: (D, B) attenuation on the way there and back, in decibels over the full depth.
        impedance: (D, B) acoustic impedance; steps along a beam are bright interfaces.
        scanner: Settings of the machine.
        rng: Generator that draws scatterers and noise.
    """
    depths = echo.shape[0]
    sent = convert_to_amplitude(-accumulate_attenuation(attenuation))
    strength = sent * convert_to_amplitude(echo)
    # A step is between two samples: the echo of an interface is in the sample behind it, and none is in the first.
    # An interface lies between two samples; its echo is in the second one, so that the first sample has none.
    mirrored = np.zeros_like(echo)
    mirrored[1:] = SPECULAR * np.diff(impedance, axis=0) * sent[1:]
    signal = np.zeros_like(echo)
    for _ in range(scanner.compounded_images):
        scatterers = rng.standard_normal(echo.shape, dtype=np.float32) * strength
        in_phase, quadrature = simulate_echoes(convert_to_map(scatterers + mirrored), scanner)
        noise = rng.standard_normal((2, *echo.shape), dtype=np.float32) * convert_to_amplitude(scanner.noise)
        signal += cv2.magnitude(in_phase + noise[0], quadrature + noise[1])
    depth = np.linspace(0, 1, depths, dtype=np.float32)[:, None]
    return convert_to_map(signal / scanner.compounded_images * convert_to_amplitude(scanner.compensation * depth))


def accumulate_attenuation(attenuation: Map) -> Map:
    """Return the decibels lost down to each depth (D, B), from the attenuation (D, B) over the full depth."""
    return np.cumsum(attenuation, axis=0, dtype=np.float32) / np.float32(attenuation.shape[0])


def simulate_echoes(scatterers: Map, scanner: Scanner) -> tuple[Map, Map]:
    """Return the analytic signal of a pulse's echoes: the in-phase and the quadrature part, each (D, B).

    The point spread function is a Gaussian across the beams, wider away from the focus, times a Gaussian pulse along
    them. Many scatterers per resolution cell give fully developed speckle: the envelope is Rayleigh distributed
    (Wagner et al., IEEE Transactions on Sonics and Ultrasonics 30, 1983).
    """
    sharp = _make_gaussian(scanner.width)
    # The beam is focused at one depth; a mixture of two kernels is much faster than one kernel per depth.
    # A mixture of two kernels stands for a width that grows away from the focus: one filter per depth would be slow.
    wide = _make_gaussian(2.4 * scanner.width)
    identity = np.ones(1, dtype=np.float32)
    depth = np.linspace(0, 1, scatterers.shape[0], dtype=np.float32)[:, None]
    blur = np.clip(np.abs(depth - scanner.focus) / 0.6, 0, 1)
    across = (1 - blur) * cv2.sepFilter2D(scatterers, -1, sharp, identity) + blur * cv2.sepFilter2D(
        scatterers, -1, wide, identity
    )
    pulse = _make_gaussian(scanner.pulse)
    phase = 2 * np.pi / scanner.wavelength * (np.arange(len(pulse)) - len(pulse) // 2)
    along = [convert_to_map(pulse * wave(phase)) for wave in (np.cos, np.sin)]
    in_phase, quadrature = (cv2.sepFilter2D(across, -1, identity, kernel) for kernel in along)
    return convert_to_map(in_phase), convert_to_map(quadrature)


def compress_dynamic_range(signal: Map, scanner: Scanner) -> Map:
    """Return the gray values in [0, 1] of an envelope, by its decibels in the machine's dynamic range."""
    # The lower limit keeps the logarithm finite; -120 dB is black at any setting.
    # The lower limit, -120 dB, keeps the logarithm finite.
    level = 20 / np.log(10) * cv2.log(np.maximum(signal, 1e-6)) + scanner.gain
    return convert_to_map(np.clip(scanner.level + level / scanner.dynamic_range, 0, 1))


def convert_to_amplitude(decibels: npt.ArrayLike) -> Map:
    """Return the amplitude of a level in decibels."""
    # exp in single precision is faster than 10 ** x.
    return convert_to_map(np.exp(convert_to_map(decibels) * np.float32(np.log(10) / 20)))


def _make_gaussian(sigma: float) -> Map:
    """Return a kernel of unit energy, which does not change the variance of independent scatterers."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return convert_to_map(kernel / np.sqrt((kernel**2).sum()))
