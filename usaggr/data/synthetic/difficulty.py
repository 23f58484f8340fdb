"""Settings of the difficulty of the phantoms' tasks. A cached set is drawn again if one of them changes.

The values in this file change only together with GENERATOR_VERSION (`writer.py`), as all numbers of this folder do.
Names are part of the hash that names a cached set, so a renamed constant would draw all sets again.
"""

CONTRAST = 1.0
"""Factor for the contrast between a lesion and the tissue around it, in decibels."""
SPREAD = 1.0
"""Factor for the distance of structures from their mean position.

With small values, a mean mask or box is a good guess; above 1, structures may leave the image."""
CLUTTER = 1.0
"""Factor for the variation within a tissue, in decibels."""
MOTION = 1.0
"""Factor for the motion and bending between frames of one subject."""
CONTACT = 1.5
"""Standard deviation of differences between beams due to uneven contact of the probe, in decibels."""
GAIN_SPREAD = 3.0
"""Largest difference of a subject's gain from the mean gain, in decibels."""
