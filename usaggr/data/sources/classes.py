"""Classification from a folder for each class: `images/benign/x.png`, `images/malignant/y.png`."""

from pathlib import Path

from usaggr.data.sources.table import SourceRow, SourceTable, images_in, refuse_task_name
from usaggr.errors import ConfigError


def read_classes(images: Path, task: str, names: tuple[str, ...] = ()) -> SourceTable:
    """Label each image by the folder that it lies in, at any depth below; classes are numbered by name, or as given.

    Raises:
        ConfigError: no such folder, fewer than two classes, a name without folder or a folder without name, or images
            beside the folders.
    """
    refuse_task_name(task)
    found = images_in(images)
    beside = [path for path in found if path.parent == images]
    if beside:
        raise ConfigError(f"{beside[0]}: lies in no class's folder; {images} holds one folder a class")
    folders = sorted({path.relative_to(images).parts[0] for path in found})
    names = names or tuple(folders)
    if set(names) != set(folders) or len(set(names)) != len(names):
        raise ConfigError(f"--names: {', '.join(names)} are not the folders of {images}: {', '.join(folders)}")
    if len(names) < 2:
        raise ConfigError(f"{images}: one class ({names[0]}); a classification has 2 at least, a folder each")
    rows = tuple(SourceRow(path, label=names.index(path.relative_to(images).parts[0])) for path in found)
    return SourceTable(task, "classification", len(names), rows, names)
