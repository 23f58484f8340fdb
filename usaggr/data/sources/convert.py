"""Conversion of DICOM, NIfTI and MetaImage files of a folder to PNG, in a new folder with the same subfolders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from usaggr.data.sources.dicom import read_dicom
from usaggr.data.sources.image_folder import get_suffix, is_dicom, list_files
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.made_masks import encode_png
from usaggr.data.sources.medical_file import MedicalFile, UnreadableFileError, convert_to_stored_values
from usaggr.data.sources.meta_image import read_meta_image
from usaggr.data.sources.nifti import read_nifti
from usaggr.data.sources.table import SourceTable
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError, DataError
from usaggr.io.atomic_files import make_write_error, replace_file

_SUFFIXES = {".nii": read_nifti, ".nii.gz": read_nifti, ".mhd": read_meta_image, ".mha": read_meta_image}


@dataclass(frozen=True)
class Conversion:
    """A folder of converted images."""

    folder: Path
    columns: dict[Path, dict[str, str]]
    """Columns of the index of each converted file: pixel_spacing, subject_id."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    axes: dict[Path, str] = field(default_factory=dict)
    """Directions of x and y in the patient of each converted file that has them, such as LP."""

    def add_columns(self, table: SourceTable) -> SourceTable:
        """Return a table with the columns of the converted files, the files that are left out, and the notes."""
        completed = tuple(
            replace(row, columns={**self.columns.get(row.image, {}), **row.columns}) for row in table.rows
        )
        return replace(
            table, rows=completed, left_out=(*table.left_out, *self.left_out), notes=(*self.notes, *table.notes)
        )


@dataclass(frozen=True)
class FrameChoice:
    """The frames to take of a sequence (a cine)."""

    name: str = "none"
    """none, first, middle, last, all or numbers."""
    numbers: tuple[int, ...] = ()
    """Numbers from 1."""

    @classmethod
    def parse(cls, text: str) -> "FrameChoice":
        """Parse the value of `--frames`.

        Raises:
            ConfigError: The text is not valid.
        """
        if text in ("none", "first", "middle", "last", "all"):
            return cls(text)
        texts = text.split(",")
        if not all(number.strip().isdecimal() and 0 < int(number) < 10**6 for number in texts):
            raise ConfigError(
                f"--frames: '{text:.80}' must be none, first, middle, last, all, or numbers from 1 such as 1,5,9"
            )
        return cls("numbers", tuple(sorted({int(number) for number in texts})))

    def choose(self, frames: int) -> list[int]:
        """Return the chosen frames of a file, from 0.

        Raises:
            UnreadableFileError: The file has several frames and none is chosen, or not the chosen ones.
        """
        if frames == 1:
            return [0]
        match self.name:
            case "none":
                raise UnreadableFileError(
                    "has several frames; choose with --frames first, middle, last, all or numbers"
                )
            case "first":
                return [0]
            case "middle":
                return [frames // 2]
            case "last":
                return [frames - 1]
            case "all":
                return list(range(frames))
            case _:
                chosen = [number - 1 for number in self.numbers if number <= frames]
                if not chosen:
                    raise UnreadableFileError(f"has fewer frames than --frames {','.join(map(str, self.numbers))}")
                return chosen

    @property
    def has_several(self) -> bool:
        """True if several frames of a file can be taken, so that names need a number."""
        return self.name == "all" or len(self.numbers) > 1


def check_axes(table: SourceTable, conversions: Sequence[Conversion]) -> None:
    """Check that images and masks were stored with the same directions of x and y: they are not turned.

    Args:
        table: Samples of the converted files.
        conversions: Conversions of the images and masks.

    Raises:
        DataError: An image and its mask have other directions, so that the mask would be mirrored.
    """
    axes = {path: directions for conversion in conversions for path, directions in conversion.axes.items()}
    for row in table.rows:
        of_image = axes.get(row.image)
        for mask in (row.mask, *row.further_masks):
            of_mask = axes.get(mask) if mask is not None else None
            if of_image and of_mask and of_mask != of_image:
                raise DataError(
                    f"{mask}: x and y have the directions {of_mask}, but {of_image} in {row.image}, so that the mask "
                    "would be mirrored or turned; save both with the same orientation"
                )


def has_medical_files(folder: Path) -> bool:
    """Return whether a folder has a file that `convert_folder` converts.

    Raises:
        ConfigError: The folder does not exist.
    """
    return any(_is_medical(path) for path in list_files(folder).unread)


def convert_folder(folder: Path, target: Path, frames: FrameChoice) -> Conversion:
    """Convert the medical files of a folder to PNG, and copy its other images, so that one folder has all.

    Names and subfolders stay; with several frames of a file, `_f0001` is added to its name. Pixels keep their values
    if they are whole numbers from 0 to 65535.

    Args:
        folder: The folder; its subfolders are searched too.
        target: Folder of the converted images.
        frames: Frames to take of files with several.

    Raises:
        ConfigError: The folder does not exist, or a needed package is not installed.
        DataError: The target is inside the folder, or no file can be converted.
    """
    if target.resolve() == folder.resolve() or target.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"--convert: {target} is inside {folder}; choose a folder beside it")
    files = list_files(folder)
    medical = [path for path in files.unread if _is_medical(path)]
    left_out = [
        *replace(files, unread=tuple(p for p in files.unread if not _is_medical(p) and not _is_data(p))).list_left_out()
    ]
    columns: dict[Path, dict[str, str]] = {}
    axes: dict[Path, str] = {}
    remarks: Counter[str] = Counter()
    converted = 0
    for path in medical:
        try:
            source = _open(path)
            names = _write_frames(source, path, target / path.relative_to(folder).parent, frames)
        except UnreadableFileError as error:
            left_out.append(LeftOut(str(path), str(error)))
            continue
        converted += 1
        remarks.update(source.remarks)
        if names.is_scaled:
            remarks[
                "have values that do not fit into 16 bits without a sign; they are scaled from the header's limits"
            ] += 1
        columns |= dict.fromkeys(names.paths, source.columns)
        if source.axes:
            axes |= dict.fromkeys(names.paths, source.axes)
    if not converted:
        reasons = "".join(f"; {entry.file}: {entry.reason}" for entry in left_out[:3])
        raise DataError(f"{folder}: no DICOM, NIfTI or MetaImage file can be converted{reasons}")
    for path in files.images:
        _write_unless_other(target / path.relative_to(folder), path.read_bytes())
    notes = [
        f"{pluralize(converted, 'file')} converted to {pluralize(len(columns), 'image')} in {target}",
        *(f"{count} of {converted} files {remark}" for remark, count in sorted(remarks.items())),
        *_describe_axes(axes),
    ]
    return Conversion(target, columns, tuple(left_out), tuple(notes), axes)


def _describe_axes(axes: Mapping[Path, str]) -> list[str]:
    """Return a note about images with different directions of x and y, in a list that is empty if there are none."""
    counts = Counter(axes.values())
    if len(counts) < 2:
        return []
    listed = ", ".join(f"{directions} {count}" for directions, count in sorted(counts.items()))
    return [f"x and y have different directions in the patient ({listed} images); images are not turned"]


@dataclass(frozen=True)
class _Written:
    paths: Sequence[Path]
    is_scaled: bool


def _open(path: Path) -> MedicalFile:
    reader = _SUFFIXES.get(get_suffix(path))
    return reader(path) if reader is not None else read_dicom(path)


def _write_frames(source: MedicalFile, path: Path, folder: Path, frames: FrameChoice) -> _Written:
    """Write the chosen frames of a file."""
    stem = path.name
    suffix = get_suffix(path)
    if suffix and not suffix[1:].isdigit():
        stem = stem[: -len(suffix)]
    paths: list[Path] = []
    is_scaled = False
    for index in frames.choose(source.frames):
        pixels, scaled = convert_to_stored_values(source.read(index), source.limits, source.is_fractional)
        is_scaled |= scaled
        number = f"_f{index + 1:04}" if frames.has_several and source.frames > 1 else ""
        name = folder / f"{stem}{number}.png"
        _write_unless_other(name, encode_png(pixels))
        paths.append(name)
    return _Written(paths, is_scaled)


def _is_medical(path: Path) -> bool:
    return get_suffix(path) in _SUFFIXES or is_dicom(path)


def _is_data(path: Path) -> bool:
    """Return whether a file holds the pixels of a MetaImage file."""
    return get_suffix(path) in (".raw", ".zraw")


def _write_unless_other(path: Path, content: bytes) -> None:
    """Write a file, unless it exists with the same content.

    Raises:
        DataError: It exists with other content: that of another image of the same name.
        WriteError: It cannot be written.
    """
    try:
        if path.exists():
            if path.read_bytes() != content:
                raise DataError(f"--convert: {path} exists with other pixels; give a folder of its own")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise make_write_error(path, error) from error
