"""Simulation of an ultrasound image: scatterers, pulse, attenuation, gain, envelope and log compression.

A map has the shape (D, B): D depths along each of B beams. Levels are in decibels; 0 dB is the mean echo of soft
tissue.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from usaggr.data.synthetic.geometry import Map, convert_to_map

SPECULAR = 6.0
"""Amplitude of the echo of an interface with an impedance step of 1, relative to the scatterers of soft tissue."""
_DEFOCUS_DEPTH = 0.6
"""Distance from the focus at which beams have their largest width, as a fraction of the depth."""
_DEFOCUS_FACTOR = 2.4
"""Largest width of a beam relative to its width at the focus."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Settings of the ultrasound machine."""

    wavelength: float = 4.0
    """Wavelength of the pulse, in depth samples."""
    pulse: float = 1.9
    """Standard deviation of the pulse's Gaussian envelope, in depth samples."""
    width: float = 1.1
    """Standard deviation of a beam's Gaussian cross section at the focus, in beams."""
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
    """Return the envelope of the received signal (D, B), with an amplitude of about 1 for soft tissue.

    Args:
        echo: (D, B) level of the scatterers, in decibels.
        attenuation: (D, B) attenuation of the pulse and its echo together, in decibels over the full depth.
        impedance: (D, B) acoustic impedance; steps along a beam are bright interfaces.
        scanner: Settings of the machine.
        rng: Generator that draws scatterers and noise.
    """
    transmission = convert_to_amplitude(-accumulate_attenuation(attenuation))
    scatterer_amplitude = transmission * convert_to_amplitude(echo)
    # An interface lies between two samples; its echo is in the second one, so that the first sample has none.
    interfaces = np.zeros_like(echo)
    interfaces[1:] = SPECULAR * np.diff(impedance, axis=0) * transmission[1:]
    envelope_sum = np.zeros_like(echo)
    for _ in range(scanner.compounded_images):
        scatterers = rng.standard_normal(echo.shape, dtype=np.float32) * scatterer_amplitude
        in_phase, quadrature = simulate_echoes(convert_to_map(scatterers + interfaces), scanner)
        noise = rng.standard_normal((2, *echo.shape), dtype=np.float32) * convert_to_amplitude(scanner.noise)
        envelope_sum += cv2.magnitude(in_phase + noise[0], quadrature + noise[1])
    depth = np.linspace(0, 1, echo.shape[0], dtype=np.float32)[:, None]
    compensation = convert_to_amplitude(scanner.compensation * depth)
    return convert_to_map(envelope_sum / scanner.compounded_images * compensation)


def accumulate_attenuation(attenuation: Map) -> Map:
    """Return the attenuation accumulated down to each depth (D, B), in decibels.

    The argument holds the attenuation at each depth (D, B), as decibels that the same tissue over the full depth has.
    """
    return np.cumsum(attenuation, axis=0, dtype=np.float32) / np.float32(attenuation.shape[0])


def simulate_echoes(scatterers: Map, scanner: Scanner) -> tuple[Map, Map]:
    """Return the echoes of one pulse from the amplitudes of all scatterers (D, B).

    The point spread function is a Gaussian across the beams, wider away from the focus, times a Gaussian pulse along
    them. Many scatterers per resolution cell give fully developed speckle: the envelope is Rayleigh distributed
    (Wagner et al., IEEE Transactions on Sonics and Ultrasonics 30, 1983).

    Returns:
        The in-phase and the quadrature component of the received signal, each (D, B); the magnitude is its envelope.
    """
    narrow_beam = _make_gaussian(scanner.width)
    wide_beam = _make_gaussian(_DEFOCUS_FACTOR * scanner.width)
    no_filter = np.ones(1, dtype=np.float32)
    # The width grows away from the focus. A mixture of two filters is much faster than one filter per depth.
    depth = np.linspace(0, 1, scatterers.shape[0], dtype=np.float32)[:, None]
    defocus = np.clip(np.abs(depth - scanner.focus) / _DEFOCUS_DEPTH, 0, 1)
    # sepFilter2D takes the filter across the beams first, then the filter along them; -1 keeps single precision.
    focused = cv2.sepFilter2D(scatterers, -1, narrow_beam, no_filter)
    unfocused = cv2.sepFilter2D(scatterers, -1, wide_beam, no_filter)
    across_beams = (1 - defocus) * focused + defocus * unfocused
    pulse = _make_gaussian(scanner.pulse)
    phase = 2 * np.pi / scanner.wavelength * (np.arange(len(pulse)) - len(pulse) // 2)
    in_phase, quadrature = (
        cv2.sepFilter2D(across_beams, -1, no_filter, convert_to_map(pulse * wave(phase))) for wave in (np.cos, np.sin)
    )
    return convert_to_map(in_phase), convert_to_map(quadrature)


def compress_dynamic_range(signal: Map, scanner: Scanner) -> Map:
    """Return the gray values (D, B) in [0, 1] of an envelope (D, B): linear in decibels within the dynamic range."""
    # The lower limit keeps the logarithm finite: 1e-6 is -120 dB.
    decibels = 20 / np.log(10) * cv2.log(np.maximum(signal, 1e-6)) + scanner.gain
    return convert_to_map(np.clip(scanner.level + decibels / scanner.dynamic_range, 0, 1))


def convert_to_amplitude(decibels: npt.ArrayLike) -> Map:
    """Return the amplitude of a level in decibels."""
    # exp in single precision is faster than 10 ** x.
    return convert_to_map(np.exp(convert_to_map(decibels) * np.float32(np.log(10) / 20)))


def _make_gaussian(sigma: float) -> Map:
    """Return a Gaussian filter (2 R + 1,) that ends at R, three standard deviations or more, from its center.

    Its energy (sum of squares) is 1, so that it does not change the variance of independent scatterers.
    """
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return convert_to_map(kernel / np.sqrt((kernel**2).sum()))
