"""Reader of MetaImage files: frames as rows and columns, and their spacing."""

import math
import os
import zlib
from pathlib import Path

import numpy as np

from usaggr.data.sources.medical_file import MedicalFile, UnreadableFileError, check_shape, format_spacing
from usaggr.io.bounded_files import UnusableContentError, open_regular

_META_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
"""Types of MetaImage's pixels, as numpy names them without byte order."""
_LARGEST_HEADER = 2**16
"""Largest size of a header in bytes, up to which its end is searched."""
_COMPRESSION_OVERHEAD = 2**20
"""Bytes by which compressed pixels may be larger than the pixels: noise is stored uncompressed with a few marks."""


def read_meta_image(path: Path) -> MedicalFile:
    """Open a MetaImage file (.mhd with .raw or .zraw, or .mha), as CAMUS and 3D Slicer write them.

    Raises:
        UnreadableFileError: The file cannot be read or is no image or sequence of images.
    """
    try:
        with open_regular(path) as file:
            start = file.read(_LARGEST_HEADER)
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})") from error
    except UnusableContentError as error:
        raise UnreadableFileError(str(error)) from error
    # The header is text, one `name = value` per line. The pixels follow its last line, ElementDataFile.
    header: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in header:
        line, newline, _ = start[position:].partition(b"\n")
        position += len(line) + 1
        name, equals, value = line.decode("latin-1").partition("=")
        if not newline or not equals:
            raise UnreadableFileError("is not a MetaImage file that can be read")
        header[name.strip()] = value.strip()
    try:
        shape = tuple(int(text) for text in header["DimSize"].split())
        spacing = [float(text) for text in header.get("ElementSpacing", "").split()]
        is_big_endian = header.get("ElementByteOrderMSB", header.get("BinaryDataByteOrderMSB", "")).lower() == "true"
        dtype = np.dtype((">" if is_big_endian else "<") + _META_TYPES[header["ElementType"]])
        channels = int(header.get("ElementNumberOfChannels", "1"))
    except (KeyError, ValueError) as error:
        raise UnreadableFileError("is a MetaImage file with a header that is not understood") from error
    check_shape(shape)
    if channels not in (1, 3):
        raise UnreadableFileError(f"has {channels} channels")
    values = _read_meta_values(path, header, position, math.prod(shape) * channels * dtype.itemsize)
    frames = shape[2] if len(shape) == 3 else 1
    array = np.frombuffer(values, dtype).reshape(frames, shape[1], shape[0], *([channels] if channels > 1 else []))
    columns = format_spacing(spacing[0], spacing[1]) if len(spacing) >= 2 else {}
    return MedicalFile(frames, lambda index: array[index], columns=columns, axes=_find_meta_axes(header))


def _find_meta_axes(header: dict[str, str]) -> str:
    """Return the directions of x and y, such as LP; empty if the header does not give them.

    Each row of the matrix is the direction of an axis, whose components point to the left, back and head.
    """
    texts = header.get("TransformMatrix", header.get("Rotation", header.get("Orientation", ""))).split()
    size = math.isqrt(len(texts))
    try:
        matrix = np.array([float(text) for text in texts]).reshape(size, size)
    except ValueError:
        return ""
    if size not in (2, 3) or not np.isfinite(matrix).all():
        return ""
    largest = np.abs(matrix[:2]).argmax(axis=1)
    names = [("L", "R"), ("P", "A"), ("S", "I")]
    return "".join(names[column][int(row[column] < 0)] for row, column in zip(matrix, largest, strict=False))


def _read_meta_values(path: Path, header: dict[str, str], position: int, size: int) -> bytes:
    """Return the bytes of all frames.

    Args:
        path: The file with the header.
        header: Its values.
        position: Number of bytes of the header.
        size: Number of bytes of the values.
    """
    if header.get("BinaryData", "").lower() == "false":
        raise UnreadableFileError("has pixels that are stored as text; save it as binary data")
    data = path
    if header["ElementDataFile"] != "LOCAL":
        # Only the name is used, so that an untrusted header cannot name a file in another folder.
        data = path.parent / Path(header["ElementDataFile"].replace("\\", "/")).name
        position = _find_start(header)
    try:
        with open_regular(data) as file:
            file.seek(*((position, os.SEEK_SET) if position >= 0 else (-size, os.SEEK_END)))
            content = file.read(size + _COMPRESSION_OVERHEAD)
    except (OSError, UnusableContentError) as error:
        raise UnreadableFileError("names a file of pixels that cannot be read") from error
    if header.get("CompressedData", "").lower() == "true":
        try:
            content = zlib.decompressobj().decompress(content, size)
        except zlib.error as error:
            raise UnreadableFileError("has compressed pixels that cannot be read") from error
    if len(content) < size:
        raise UnreadableFileError("has fewer pixels than its header says")
    return content[:size]


def _find_start(header: dict[str, str]) -> int:
    """Return the number of bytes before the pixels in a file of their own; -1 if the pixels are its last bytes."""
    try:
        start = int(header.get("HeaderSize", "0"))
    except ValueError:
        start = -2
    if start < -1 or (start == -1 and header.get("CompressedData", "").lower() == "true"):
        raise UnreadableFileError("is a MetaImage file with a HeaderSize that is not understood")
    return start
