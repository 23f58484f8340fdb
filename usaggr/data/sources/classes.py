"""Reader of classification data with one folder per class: `images/benign/x.png`, `images/malignant/y.png`."""

from collections.abc import Sequence
from pathlib import Path

from usaggr.data.read.similar_names import find_name_clash
from usaggr.data.read.subject_names import quote_name
from usaggr.data.sources.image_folder import (
    ImageFolder,
    get_suffix,
    is_possible_image,
    list_images,
    parse_subset_folder,
)
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.mask_names import MASK_REASON, find_usual_masks
from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError


def read_classes(images: Path, task: str, names: tuple[str, ...] = ()) -> SourceTable:
    """Label each image by the folder of its class; an image may be in a subfolder of it.

    Folders named train, val and test (above or below those of the classes) are subsets, not classes, unless they are
    in `names`. Masks beside the images are left out.

    Args:
        images: Folder that contains one folder per class.
        task: Id of the task.
        names: Names of the classes, in the order of their numbers. Default: all folders, sorted by name.

    Raises:
        ConfigError: The folder does not exist, has fewer than two classes, has images outside class folders, or has a
            folder whose images cannot be read; or `names` are not the names of its folders.
    """
    check_task_name(task)
    files = list_images(images)
    masks = find_usual_masks(files.images)
    labeled = [path for path in files.images if path not in masks]
    _refuse_mixed_subsets(images, labeled, names)
    classes = {path: _find_class_folder(path.relative_to(images), names) for path in labeled}
    folders = sorted({name for name in classes.values() if name is not None})
    unlabeled = [path for path, name in classes.items() if name is None]
    if unlabeled:
        raise ConfigError(
            f"{unlabeled[0]}: is not in the folder of a class; {images} must contain one folder per class"
        )
    _refuse_similar_classes(images, folders)
    _refuse_unread_classes(files, folders, names)
    names = names or tuple(folders)
    if set(names) != set(folders) or len(set(names)) != len(names):
        raise ConfigError(
            f"--names: {', '.join(names)} must be the folders of {images}, each once: {', '.join(folders)}"
        )
    if len(names) < 2:
        raise ConfigError(f"{images}: has one class ({names[0]}); a classification needs at least 2, each in a folder")
    numbers = {name: number for number, name in enumerate(names)}
    source_rows = tuple(SourceRow(path, label=numbers[name]) for path, name in classes.items() if name is not None)
    left_out = [LeftOut(str(mask), MASK_REASON) for mask in masks]
    return SourceTable(task, "classification", len(names), source_rows, names, (*left_out, *files.list_left_out()))


def _find_class_folder(path: Path, names: Sequence[str]) -> str | None:
    """Return the first folder of a path that is not the folder of a subset; None if there is none."""
    for folder in path.parts[:-1]:
        if folder in names or parse_subset_folder(folder) is None:
            return folder
    return None


def _refuse_mixed_subsets(images: Path, labeled: Sequence[Path], names: Sequence[str]) -> None:
    """Refuse folders of subsets beside folders of classes: an image of `test/` could have the class test, or none."""
    tops = sorted({path.relative_to(images).parts[0] for path in labeled if path.parent != images})
    subsets = [name for name in tops if parse_subset_folder(name) is not None and name not in names]
    classes = [name for name in tops if name not in subsets]
    if subsets and classes:
        raise ConfigError(
            f"{images}: {', '.join(subsets)} are folders of a split, but stand beside {', '.join(classes)}; move the "
            f"classes into them, or list all classes as --names {','.join(tops)}"
        )


def _refuse_similar_classes(images: Path, folders: Sequence[str]) -> None:
    """Refuse folders whose names look alike, as `train/Benign` and `test/benign`: they would be two classes."""
    clash = find_name_clash(folders)
    if clash is not None:
        first, second = map(quote_name, clash)
        raise ConfigError(
            f"{images}: the folders {first} and {second} differ only in letter case, blanks or Unicode form, and would "
            "be two classes; give both the same name"
        )


def _refuse_unread_classes(files: ImageFolder, classes: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a folder with only images that cannot be read: without it, the numbers of the classes would change."""
    unread: dict[str, list[Path]] = {}
    for path in files.unread:
        name = _find_class_folder(path.relative_to(files.folder), names)
        if name is not None and name not in classes and (name in names or not names) and is_possible_image(path):
            unread.setdefault(name, []).append(path)
    for name, paths in unread.items():
        suffixes = ", ".join(sorted({get_suffix(path) or "no suffix" for path in paths}))
        count = pluralize(len(paths), "file that is not read", "files that are not read")
        raise ConfigError(
            f"{files.folder}: the class {name} has {count} ({suffixes}) and no image; save them as PNG, "
            "add --convert DIR if they are DICOM or NIfTI, or list the other classes as --names"
        )
