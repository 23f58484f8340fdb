"""Image files of a folder, and the files and folders below it that are not images."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.sources.left_out import LeftOut
from usaggr.errors import ConfigError, DataError
from usaggr.io.bounded_files import UnusableContentError, open_regular
from usaggr.results.split import Subset

_SYSTEM_NAMES = frozenset({
    "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx", "__pycache__", "$recycle.bin",
    "recycler", "system volume information", "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r",
})  # fmt: skip
"""Names, in lower case, of files and folders that systems put beside data: Synology, QNAP, macOS, Windows, Python."""
_WRITTEN_FOLDERS = ("csv_files", "made_masks", "converted_masks")
"""Folders that usaggr writes beside images."""
_SUBSET_FOLDER = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<val>val|valid|validation)|(?P<test>test|testing))(?:[ _-]?(?:set|data|images))?",
    re.IGNORECASE,
)
MEDICAL_SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".mhd", ".mha")
"""Suffixes of files that `--convert` converts to PNG."""
_PICTURES = (
    *MEDICAL_SUFFIXES, ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".raw", ".zraw", ".nrrd", ".npy",
    ".npz", ".mat", ".h5", ".mp4", ".avi", ".mov", ".wmv", ".pgm", ".ppm", ".svg", ".psd", ".xcf", ".eps", ".pdf",
)  # fmt: skip
"""Suffixes of files that may be images, but are not read."""


@dataclass(frozen=True)
class ImageFolder:
    """The files of a folder and its subfolders, without those of hidden and system folders."""

    folder: Path
    images: tuple[Path, ...]
    """Files with a suffix of `SUFFIXES`, sorted."""
    unread: tuple[Path, ...]
    """Files with other suffixes, sorted."""
    skipped: tuple[LeftOut, ...]
    """Hidden and system files and folders, linked folders, and files whose names are not Unicode."""

    def list_left_out(self) -> tuple[LeftOut, ...]:
        """Return the files that are not images, one entry per suffix with the number of files."""
        by_reason: dict[str, list[Path]] = defaultdict(list)
        for path in self.unread:
            by_reason[_explain_unread_file(path)].append(path)
        return (*self.skipped, *(LeftOut(str(paths[0]), reason, len(paths)) for reason, paths in by_reason.items()))

    def find(self, name: str) -> Path | None:
        """Return the image that a table names, by its path or by the end of its path; None unless it is one image.

        A table may name more folders than there are below this one, as an absolute path of another computer does, or
        fewer. Folders that both have must be the same: `p2/5.png` is not `p1/5.png`, even if the folder has no other
        `5.png`. The suffix may be missing; backslashes separate folders too, and composed and decomposed letters are
        the same. Letter case counts only if two images differ in it.
        """
        text = name.strip().replace("\\", "/").removeprefix("./")
        if not text:
            return None
        stem = text[: -len(suffix)] if (suffix := get_suffix(Path(text))) in MEDICAL_SUFFIXES else text  # if converted
        folders = _fold(text).split("/")[:-1]
        for key in (text, text.rsplit("/", 1)[-1], stem, stem.rsplit("/", 1)[-1]):
            normalized = unicodedata.normalize("NFC", key)
            for paths in (self._by_name.get(normalized, []), self._by_folded_name.get(normalized.casefold(), [])):
                fitting = [path for path in paths if self._has_folders(path, folders)]
                if len(fitting) == 1:
                    return fitting[0]
        return None

    def find_similar(self, name: str) -> Path | None:
        """Return the only image with the name of a file but another suffix, for a hint."""
        return self.find(Path(name.replace("\\", "/")).stem)

    def _has_folders(self, path: Path, folders: Sequence[str]) -> bool:
        """Return whether the folders of an image end with the given ones, or the given ones end with its folders."""
        image_folders = [_fold(name) for name in path.relative_to(self.folder).parts[:-1]]
        # Not strict: one of both may name more folders.
        return all(first == second for first, second in zip(image_folders[::-1], folders[::-1], strict=False))

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Images by relative path and by file name, each with and without suffix."""
        names: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            relative = path.relative_to(self.folder)
            for key in {relative.as_posix(), relative.with_suffix("").as_posix(), path.name, path.stem}:
                names[unicodedata.normalize("NFC", key)].append(path)
        return names

    @cached_property
    def _by_folded_name(self) -> dict[str, list[Path]]:
        """Images by the names of `_by_name` without letter case."""
        names: dict[str, list[Path]] = defaultdict(list)
        for key, paths in self._by_name.items():
            names[key.casefold()] += paths
        return names


def list_images(folder: Path) -> ImageFolder:
    """Return the files of a folder and its subfolders.

    Raises:
        ConfigError: The folder does not exist, or has no image file.
        DataError: A subfolder cannot be read.
    """
    listed = list_files(folder)
    if not listed.images:
        unread = "".join(f"; {entry.count} x {entry.file} {entry.reason}" for entry in listed.list_left_out()[:3])
        raise ConfigError(f"{folder}: no image file matches '**/*'; allowed suffixes: {', '.join(SUFFIXES)}{unread}")
    return listed


def list_files(folder: Path) -> ImageFolder:
    """Return the files of a folder as `list_images`, which may have no image.

    Raises:
        ConfigError: The folder does not exist.
        DataError: A subfolder cannot be read.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: this folder does not exist; give the folder that contains the images")
    images: list[Path] = []
    unread: list[Path] = []
    skipped: list[LeftOut] = []
    for path_text, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        path = Path(path_text)
        skipped += _remove_skipped(path, folders)
        for name in files:
            file = path / name
            if _is_system_name(name):
                skipped.append(LeftOut(str(file), "is a hidden or system file"))
            elif not _is_unicode(name):
                printable = str(file).encode("utf-8", "backslashreplace").decode()
                skipped.append(LeftOut(printable, "has a name that is not UTF-8; rename it"))
            elif file.suffix.lower() in SUFFIXES:
                if file.is_file():
                    images.append(file)
                else:
                    skipped.append(LeftOut(str(file), "is a link to a file that does not exist, or not a file"))
            else:
                unread.append(file)
    return ImageFolder(folder, tuple(sorted(images)), tuple(sorted(unread)), tuple(skipped))


def get_suffix(path: Path) -> str:
    """Return the suffix of a file in lower case; `.nii.gz` is one suffix."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def is_possible_image(path: Path) -> bool:
    """Return whether a file that is not read may be an image, by its suffix or as DICOM."""
    return get_suffix(path) in _PICTURES or is_dicom(path)


def is_dicom(path: Path) -> bool:
    """Return whether a file has the mark of a DICOM file, which often has no suffix."""
    if get_suffix(path) in (".dcm", ".dicom", ".ima"):
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # names that are UIDs end with digits
        return False
    try:
        with open_regular(path) as file:  # a pipe would block the reader
            return file.read(132)[128:] == b"DICM"
    except (OSError, UnusableContentError):
        return False


def parse_subset_folder(folder: str) -> Subset | None:
    """Return the subset that the name of a folder stands for, such as train, Validation or test_set; else None."""
    match = _SUBSET_FOLDER.fullmatch(folder.strip())
    if not match:
        return None
    return "train" if match["train"] else "val" if match["val"] else "test"


def _remove_skipped(path: Path, folders: list[str]) -> list[LeftOut]:
    """Remove the folders that are not searched from the list, in place, and return them."""
    skipped: list[LeftOut] = []
    for name in list(folders):
        folder = path / name
        if name in _WRITTEN_FOLDERS:
            skipped.append(LeftOut(str(folder), "is a folder that usaggr writes", 0))
        elif _is_system_name(name):
            count = sum(len(files) for _, _, files in os.walk(folder))
            skipped.append(LeftOut(str(folder), "in a hidden or system folder", count))
        elif folder.is_symlink():
            skipped.append(LeftOut(str(folder), "is a link to a folder, which is not searched; give that folder"))
        else:
            continue
        folders.remove(name)
    return skipped


def _fold(path: str) -> str:
    """Return a path without its letter case and Unicode form."""
    return unicodedata.normalize("NFC", path).casefold()


def _is_system_name(name: str) -> bool:
    return name.startswith((".", "~$")) or name.casefold() in _SYSTEM_NAMES


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explain_unread_file(path: Path) -> str:
    suffix = get_suffix(path)
    if is_dicom(path):
        return "is DICOM; add --convert DIR to convert it to PNG"
    if suffix in MEDICAL_SUFFIXES:
        return f"has the suffix {suffix}; add --convert DIR to convert it to PNG"
    if suffix in _PICTURES:
        return f"has the suffix {suffix}, which is not read; save it as PNG"
    if not suffix or suffix[1:].isdigit():
        return "has no suffix of an image"
    return f"has the suffix {suffix}, which is not an image"


def _refuse_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
