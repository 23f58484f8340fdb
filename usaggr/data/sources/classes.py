"""Reader of classification data with one folder per class: `images/benign/x.png`, `images/malignant/y.png`."""

from pathlib import Path

from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name, find_images
from usaggr.errors import ConfigError


def read_classes(images: Path, task: str, names: tuple[str, ...] = ()) -> SourceTable:
    """Label each image by the folder of its class; an image may be in a subfolder of it.

    Args:
        images: Folder that contains one folder per class.
        task: Id of the task.
        names: Names of the classes, in the order of their numbers. Default: all folders, sorted by name.

    Raises:
        ConfigError: The folder does not exist, has fewer than two classes, or has images outside class folders; or
            `names` are not the names of its folders.
    """
    check_task_name(task)
    files = find_images(images)
    unlabeled = [path for path in files if path.parent == images]
    if unlabeled:
        raise ConfigError(
            f"{unlabeled[0]}: is not in the folder of a class; {images} must contain one folder per class"
        )
    folders = sorted({path.relative_to(images).parts[0] for path in files})
    names = names or tuple(folders)
    if set(names) != set(folders) or len(set(names)) != len(names):
        raise ConfigError(
            f"--names: {', '.join(names)} must be the folders of {images}, each once: {', '.join(folders)}"
        )
    if len(names) < 2:
        raise ConfigError(f"{images}: has one class ({names[0]}); a classification needs at least 2, each in a folder")
    labeled = tuple(SourceRow(path, label=names.index(path.relative_to(images).parts[0])) for path in files)
    return SourceTable(task, "classification", len(names), labeled, names)
