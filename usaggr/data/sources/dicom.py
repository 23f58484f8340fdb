"""Reader of DICOM files: pixels as they are stored (no window is applied), spacing, and a hash of the patient."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.sources.medical_file import MAX_PIXELS, MedicalFile, UnreadableFileError, format_spacing
from usaggr.errors import ConfigError

_MAX_FRAMES = 100_000
"""Largest number of frames of a file: an hour at 25 frames per second."""
_CENTIMETERS = 3
"""Unit of a region of an ultrasound image (PhysicalUnitsXDirection)."""
_NOBODY = frozenset({"anonymous", "anonymized", "anonymised", "anon", "deidentified", "de-identified", "unknown"})
"""Texts, in lower case, that programs write instead of all ids of patients."""
_TWO_DIMENSIONAL = 1
"""Format of a region that shows a tissue image (RegionSpatialFormat)."""


def read_dicom(path: Path) -> MedicalFile:
    """Open a DICOM file.

    Raises:
        ConfigError: pydicom is not installed.
        UnreadableFileError: The file has no pixels that can be read.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ConfigError("--convert: DICOM files need pydicom; pip install 'usaggr[medical]'") from error
    try:
        data: Any = pydicom.dcmread(path, force=True)
        has_pixels = "PixelData" in data and "Rows" in data
    except Exception as error:  # pydicom raises many kinds of exception on broken files
        raise UnreadableFileError(f"is not a DICOM file that can be read ({type(error).__name__})") from error
    if not has_pixels:
        raise UnreadableFileError("is a DICOM file without an image")
    if "TransferSyntaxUID" not in getattr(data, "file_meta", {}):
        data.file_meta = getattr(data, "file_meta", None) or pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    try:
        return _describe(data)
    except UnreadableFileError:
        raise
    except Exception as error:  # pydicom parses values when they are used, and raises many kinds of exception
        raise UnreadableFileError(f"has a DICOM header that cannot be read ({error})"[:200]) from error


def _describe(data: Any) -> MedicalFile:
    """Return the frames of a data set, and what its header says about them.

    Raises:
        UnreadableFileError: The size, the number of frames or the position of the bits is not supported.
    """
    if int(data.Rows) * int(data.Columns) > MAX_PIXELS:
        raise UnreadableFileError(f"has more than {MAX_PIXELS} pixels")
    frames = int(data.get("NumberOfFrames") or 1)
    if not 1 <= frames <= _MAX_FRAMES:
        raise UnreadableFileError(f"has {frames} frames by its header; 1 to {_MAX_FRAMES} are read")
    if int(data.get("HighBit", data.BitsStored - 1)) != data.BitsStored - 1:
        raise UnreadableFileError("has values whose bits are shifted (HighBit); save it as PNG")
    remarks: list[str] = []
    columns = {**_find_spacing(data, remarks), **_hash_patient(data, remarks)}
    burned_in = str(data.get("BurnedInAnnotation") or "").upper()
    if burned_in != "NO":
        remarks.append(
            "say that text is burned into the pixels (BurnedInAnnotation=YES); pixels are not changed"
            if burned_in == "YES"
            else "do not say whether text is burned into the pixels (BurnedInAnnotation); look at them"
        )
    if "WindowCenter" in data or "VOILUTSequence" in data:
        remarks.append("have a window for display, which is not applied")
    limits, is_fractional = _get_value_limits(data), _is_fractional(data)
    return MedicalFile(frames, partial(_read_frame, data), limits, is_fractional, columns, tuple(remarks))


def _read_frame(data: Any, index: int) -> NDArray[Any]:
    """Return the pixels of a frame, with colors as RGB, and gray values from dark to bright.

    Raises:
        UnreadableFileError: The pixels cannot be decoded.
    """
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    try:
        # Without `raw`, YBR becomes RGB.
        pixels: Any = np.asarray(pixel_array(data, index=index, raw=False))
    except Exception as error:  # decoders raise many kinds of exception
        syntax = data.file_meta.TransferSyntaxUID
        if syntax.is_compressed:
            raise UnreadableFileError(
                f"is compressed as {syntax.name}, which cannot be decoded here; pip install pylibjpeg "
                "pylibjpeg-libjpeg pylibjpeg-openjpeg, or decompress it (gdcmconv --raw)"
            ) from error
        raise UnreadableFileError(f"has pixels that cannot be decoded ({error})"[:200]) from error
    kind = str(data.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        colors = np.asarray(apply_color_lut(pixels, data))
        return (colors >> (0 if _has_small_palette(data) else 8)).astype(np.uint8)
    if pixels.ndim == 3:
        return np.asarray(pixels)
    values = np.asarray(apply_modality_lut(pixels, data))
    if kind == "MONOCHROME1":  # small values are bright
        low, high = _get_value_limits(data)
        values = (low + high) - values
    limits = _get_value_limits(data)
    has_8_bits = limits[0] >= 0 and limits[1] <= 255 and not _is_fractional(data)
    return values.astype(np.uint8) if has_8_bits else values


def _has_small_palette(data: Any) -> bool:
    """Return whether the colors of a palette have 8 bits; some programs store them as if they had 16."""
    tables = [data.get(f"{color}PaletteColorLookupTableData") for color in ("Red", "Green", "Blue")]
    entries = abs(int(data.RedPaletteColorLookupTableDescriptor[0])) or 2**16
    return all(
        table is not None and (len(table) < 2 * entries or np.frombuffer(table, "<u2").max() <= 255) for table in tables
    )


def _get_value_limits(data: Any) -> tuple[float, float]:
    """Return the smallest and largest value that the header allows, after the modality's table or rescaling."""
    if tables := data.get("ModalityLUTSequence"):
        return 0, 2 ** int(tables[0].LUTDescriptor[2]) - 1
    bits = int(data.get("BitsStored") or 8)
    is_signed = bool(data.get("PixelRepresentation"))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    slope, intercept = _get_rescaling(data)
    ends = (low * slope + intercept, high * slope + intercept)
    return min(ends), max(ends)


def _get_rescaling(data: Any) -> tuple[float, float]:
    """Return the factor and the summand that turn stored values into values; 1 and 0 unless the header has both."""
    if "RescaleSlope" not in data or "RescaleIntercept" not in data:
        return 1, 0  # as pydicom, which leaves the pixels as they are
    return float(data.RescaleSlope), float(data.RescaleIntercept)


def _is_fractional(data: Any) -> bool:
    """Return whether the rescaling gives values that are not whole numbers.

    The header decides and not the pixels: frames of one sequence must be scaled alike, whatever values they have.
    """
    return not data.get("ModalityLUTSequence") and any(number % 1 != 0 for number in _get_rescaling(data))


def _find_spacing(data: Any, remarks: list[str]) -> dict[str, str]:
    """Return the column pixel_spacing, from the region of an ultrasound image or the spacing of its pixels.

    Args:
        data: The DICOM data set.
        remarks: Remarks of the file; one is added if regions have several scales.
    """
    spacings = {
        (abs(float(region.PhysicalDeltaX)) * 10, abs(float(region.PhysicalDeltaY)) * 10)
        for region in data.get("SequenceOfUltrasoundRegions") or ()
        if region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL
        and region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == _CENTIMETERS
        and "PhysicalDeltaX" in region
        and "PhysicalDeltaY" in region
    }
    if len(spacings) > 1:
        remarks.append("show regions of several scales; they get no pixel_spacing")
        return {}
    if spacings:
        return format_spacing(*spacings.pop())
    for name in ("PixelSpacing", "NominalScannedPixelSpacing", "ImagerPixelSpacing"):
        values = data.get(name)
        if values is not None and len(values) == 2:
            return format_spacing(float(values[1]), float(values[0]))  # DICOM gives the distance of rows first
    remarks.append("have no pixel spacing")
    return {}


def _hash_patient(data: Any, remarks: list[str]) -> dict[str, str]:
    """Return the column subject_id: a hash of the patient's id, or of the study if there is none."""
    patient = normalize_subject(str(data.get("PatientID") or ""))
    study = str(data.get("StudyInstanceUID") or "")
    if patient.casefold() in _NOBODY and study:
        remarks.append("have a PatientID that names nobody, such as ANONYMOUS; each study counts as a subject")
        patient = ""
    elif not patient and study:
        remarks.append("have no PatientID; each study counts as a subject")
    if not patient and not study:
        remarks.append("have neither PatientID nor StudyInstanceUID; each counts as its own subject")
        return {}
    text = f"patient {data.get('IssuerOfPatientID') or ''} {patient}" if patient else f"study {study}"
    return {"subject_id": f"p{hashlib.sha256(text.encode()).hexdigest()[:16]}"}
