"""How hard the phantoms' tasks are: the few numbers to turn. A cached set is drawn again when one of them changes.

The values in this file change only together with GENERATOR_VERSION (`writer.py`), as all numbers of this folder do.
"""

CONTRAST = 1.0
"""Factor on what tells a lesion from the tissue around it, in decibels."""
SPREAD = 1.0
"""Factor on how far structures lie from their mean place; small ones make a mean mask or box a good
guess, and above 1 structures may leave the image."""
CLUTTER = 1.0
"""Factor on the variation within a tissue, in decibels."""
MOTION = 1.0
"""Factor on how far frames of one subject are moved and bent."""
CONTACT = 1.5
"""Differences between beams by uneven contact of the probe, decibels."""
GAIN_SPREAD = 3.0
"""Machine settings differ between subjects: decibels to either side."""
