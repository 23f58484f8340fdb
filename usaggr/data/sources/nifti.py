"""Reader of NIfTI files: frames as rows and columns, and their spacing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.sources.medical_file import MedicalFile, UnreadableFileError, check_shape, format_spacing
from usaggr.errors import ConfigError

_MILLIMETERS = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
"""Factors from the unit of a NIfTI header to millimeters; files without a unit are in millimeters."""


def read_nifti(path: Path) -> MedicalFile:
    """Open a NIfTI file, whose first two axes are x and y; one further axis counts frames.

    Raises:
        ConfigError: nibabel is not installed.
        UnreadableFileError: The file cannot be read or is no image or sequence of images.
    """
    try:
        import nibabel
    except ImportError as error:
        raise ConfigError("--convert: NIfTI files need nibabel; pip install 'usaggr[medical]'") from error
    try:
        image: Any = nibabel.load(path)
        shape = tuple(image.shape)
        zooms, unit = image.header.get_zooms(), image.header.get_xyzt_units()[0]
        axes = _find_nifti_axes(image)
    except Exception as error:  # nibabel raises many kinds of exception on broken files
        raise UnreadableFileError(f"is not a NIfTI file that can be read ({type(error).__name__})") from error
    # Programs write a cine as (x, y, 1, time), and put further axes of one entry behind it.
    moving = [axis for axis in range(2, len(shape)) if shape[axis] != 1]
    check_shape((*shape[:2], *(shape[axis] for axis in moving)))
    frames = shape[moving[0]] if moving else 1
    spacing = format_spacing(*(float(zoom) * _MILLIMETERS.get(unit, 1.0) for zoom in zooms[:2]))
    return MedicalFile(frames, partial(_read_nifti_frame, image, moving), columns=spacing, axes=axes)


def _find_nifti_axes(image: Any) -> str:
    """Return the directions of x and y, such as LP; empty if the header does not give them."""
    from nibabel import orientations

    find_codes: Any = orientations.aff2axcodes  # a function without types
    if not (int(image.header.get("sform_code", 0)) or int(image.header.get("qform_code", 0))):
        return ""
    return "".join(str(code or "?") for code in find_codes(image.affine)[:2])


def _read_nifti_frame(image: Any, moving: Sequence[int], index: int) -> NDArray[Any]:
    """Return the pixels of a frame: (H, W), or (H, W, 3) for colors.

    Args:
        image: The opened file; pixels are read only here.
        moving: The axis of frames; empty if there is only one frame.
        index: Number of the frame, from 0.
    """
    try:
        further = [index if axis in moving else 0 for axis in range(2, len(image.shape))]
        position = (slice(None), slice(None), *further)
        values = np.asarray(image.dataobj[position])
    except Exception as error:
        raise UnreadableFileError(f"has pixels that cannot be read ({type(error).__name__})") from error
    if values.dtype.names:  # NIfTI stores a color as a record of red, green and blue
        values = np.stack([values[name] for name in values.dtype.names[:3]], axis=-1)
    return np.swapaxes(values, 0, 1)
