"""Acoustic properties of the tissues that phantoms consist of.

A phantom is a synthetic ultrasound image. All phantoms share these tissues, so that organs of one clinical group look
alike. Strengths are relative to soft tissue: an echo of 0 dB is its mean, and 20 dB is its attenuation.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Tissue:
    """Acoustic properties of a tissue."""

    echo: float
    """Mean brightness: level of the scatterers, in decibels relative to soft tissue."""
    attenuation: float = 20.0
    """Loss of the sound over the full depth of the image, there and back, in decibels; more gives a darker shadow."""
    impedance: float = 0.0
    """Relative acoustic impedance, without a unit. A difference between neighboring tissues is a bright interface."""
    mottle: float = 0.0
    """Patchy variation of the brightness, in decibels."""
    fibres: float = 0.0
    """Variation of the brightness in layers across the beam, as in muscle, in decibels."""

    def brighten(self, decibels: float) -> "Tissue":
        """Return a brighter tissue, or a darker one for negative decibels."""
        return replace(self, echo=self.echo + decibels)


# The first value is `echo`. Fluid is almost black and transmits all of the sound; bone and gas cast shadows.
FLUID = Tissue(-60, attenuation=0, impedance=-1.0)
BLOOD = Tissue(-32, attenuation=4, impedance=-0.7, mottle=2)
SKIN = Tissue(12, impedance=0.4)
FAT = Tissue(-10, attenuation=16, impedance=-0.3, mottle=2, fibres=4)
GLAND = Tissue(1, attenuation=21, mottle=3, fibres=3.5)
MUSCLE = Tissue(-8, attenuation=22, impedance=0.1, mottle=1, fibres=6)
SOFT = Tissue(-1, mottle=3, fibres=2)
THYROID = Tissue(4, attenuation=20, impedance=0.1, mottle=1)
LIVER = Tissue(0, attenuation=20, mottle=1)
SPLEEN = Tissue(2, attenuation=19, impedance=0.3, mottle=0.7)
PLACENTA = Tissue(1, attenuation=20, mottle=3, fibres=1.5)
BRAIN = Tissue(-14, attenuation=9, mottle=4)
FIBROUS = Tissue(12, attenuation=26, impedance=0.6, mottle=2)
CARTILAGE = Tissue(-16, attenuation=20, impedance=0.6, mottle=1)
BONE = Tissue(22, attenuation=420, impedance=2.0)
THIN_BONE = Tissue(15, attenuation=150, impedance=2.0)
"""Bone of the fetal skull, which transmits some of the sound."""
GAS = Tissue(6, attenuation=160, impedance=-1.5, mottle=5)
"""Gas, with a bright surface and a dirty (partly filled) shadow behind it."""
