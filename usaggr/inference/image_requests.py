"""Requests for the images of a folder without an index: each image is predicted for each requested task."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from usaggr.data.read.index import IndexRow
from usaggr.data.sources.image_folder import list_images
from usaggr.data.sources.left_out import LeftOut, list_left_out
from usaggr.data.sources.mask_names import MASK_REASON, find_usual_masks
from usaggr.errors import DataError
from usaggr.inference.prediction_requests import PredictionRequest, RequestedPredictions
from usaggr.tasks import Task, has_mask_label


@dataclass(frozen=True)
class FolderSelection:
    """Images of a folder to predict."""

    root: Path
    """Folder of images, with subfolders; masks beside images, and hidden and system files, are left out."""
    tasks: tuple[str, ...] = ()
    """Ids of the tasks to predict; empty: all tasks of the models."""
    follow_links: bool = False
    """Read images that are symbolic links to files outside the folder."""


def list_requests(root: Path, tasks: Iterable[Task]) -> RequestedPredictions:
    """Request each task of each image below a folder, sorted by path.

    Requests name an image as an index in `<root>/csv_files/` would (`../scans/a.png`), so that the predictions have the
    layout of the challenge. Each task has its own folder of masks, because an image has one mask per task.
    Files that are masks by their usual names (`a_mask.png` beside `a.png`) are left out, as they are by `data index`.

    Raises:
        ConfigError: The folder does not exist, or has no image.
        DataError: A subfolder cannot be read, or two masks would be the same file.
    """
    folder = list_images(root)
    masks = find_usual_masks(folder.images)
    images = [path for path in folder.images if path not in masks]
    owners: dict[PurePosixPath, Path] = {}
    requests = []
    for task in tasks:
        for path in images:
            relative = PurePosixPath(path.relative_to(root).as_posix())
            row = IndexRow("", 0, {"image_path": f"../{relative}", "task_id": task.id})
            mask_path = None
            if has_mask_label(task.type):
                mask_path = PurePosixPath("masks", task.id, relative).with_suffix(".png")
                owner = owners.setdefault(mask_path, path)
                if owner != path:
                    raise DataError(
                        f"{owner} and {path}: their masks would both be {mask_path}; rename one of the images, or "
                        "predict them separately with another --out"
                    )
            requests.append(PredictionRequest(task.id, row, mask_path))
    left_out = [*(LeftOut(str(mask), MASK_REASON) for mask in masks), *folder.list_left_out()]
    return RequestedPredictions(tuple(requests), (), {}, tuple(list_left_out(left_out)))
