"""Check of the files that predictions will be written to, before any work: none may replace another one."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from usaggr.challenge.evaluation_files import EVALUATION_FILES
from usaggr.challenge.layout import JSON_FILES
from usaggr.errors import DataError
from usaggr.inference.prediction_folder import JOURNAL, LOCK, MARKER, SKIPPED
from usaggr.inference.prediction_requests import PredictionRequest

_OWN_FILES = frozenset({MARKER, JOURNAL, LOCK, SKIPPED, *JSON_FILES.values(), *EVALUATION_FILES})
"""Files in the folder of predictions that `usaggr predict` and `usaggr evaluate` write themselves."""


def check_targets(requests: Sequence[PredictionRequest], out: Path, overlays: Iterable[PurePosixPath] = ()) -> None:
    """Check that each mask has a file of its own inside the folder of predictions.

    Args:
        requests: Predictions to make.
        out: Folder of the predictions, which need not exist.
        overlays: Pictures that will be drawn, as paths within the folder.

    Raises:
        DataError: A mask would be a file of the command, a picture or a folder of other masks; or it would be outside
            the folder, because a folder of its path is a link.
    """
    pictures = set(overlays)
    masks = {request.mask_path: request for request in requests if request.mask_path is not None}
    parents = {parent for path in masks for parent in path.parents}
    outside = {parent for parent in parents if not _is_inside(out / parent, out)}
    for path, request in masks.items():
        # Some file systems ignore the case of letters.
        if path.parts[0].lower() in _OWN_FILES:
            reason = f"{path.parts[0]} is a file that usaggr writes there itself"
        elif path in pictures:
            reason = "this is a picture that --overlay draws"
        elif path in parents:
            reason = "this is a folder of other masks"
        elif not outside.isdisjoint(path.parents) or (out / path).is_symlink():
            reason = f"a link leads out of {out}"
        else:
            continue
        row = request.row
        place = f"{row.csv_file}, line {row.line}: " if row.csv_file else ""
        raise DataError(
            f"{place}the mask of {request.image_path} ({request.task}) would be written to {path}, but {reason}; give "
            "it another mask_path"
        )


def _is_inside(folder: Path, out: Path) -> bool:
    return folder.resolve().is_relative_to(out.resolve())
