"""Pictures of predictions: each image with its predicted outlines, class, box or landmarks drawn in."""

import hashlib
import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.image_reading import ImageReading
from usaggr.data.read.images import read_image
from usaggr.data.read.paths import FileFinder, UnusablePath
from usaggr.data.show.sample_sheet import draw_label, get_color
from usaggr.errors import DataError
from usaggr.inference.prediction_folder import PredictionFolder
from usaggr.inference.prediction_requests import Key, PredictionRequest
from usaggr.io.atomic_files import make_write_error, replace_file
from usaggr.progress import Progress
from usaggr.results.predictions import Prediction
from usaggr.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVERLAYS = "overlays"
"""Folder of the pictures, in the folder of predictions."""
_MIN_SIDE = 480
"""Smallest length of a picture's longer side in pixels.

Smaller images are enlarged, because lines and texts have a fixed size and would cover them."""
_DPI = 100
"""Pixels per inch; with figure sizes in inches, it gives the pixels of a picture."""
_LINE_HEIGHT = 14
"""Distance between two lines of the legend, in points."""


def write_overlays(
    folder: PredictionFolder,
    requests: Sequence[PredictionRequest],
    tasks: Mapping[str, Task],
    finder: FileFinder,
    readings: Mapping[str, ImageReading],
    max_pixels: int,
    progress: Progress,
) -> int:
    """Write a picture of each stored prediction to `overlays/TASK/`, and return their number.

    Requests without a prediction have no picture.

    Args:
        folder: Folder with the predictions.
        requests: Predictions to draw.
        tasks: Tasks by id, for the names of classes and landmarks.
        finder: Finder of the images.
        readings: Rules by which the images of each task were read for the predictions, by task id.
        max_pixels: Largest number of pixels of an image or mask.
        progress: Display that counts the pictures.

    Raises:
        WriteError: A picture cannot be written.
        DataError: An image was predicted, but cannot be read any more.
    """
    predicted = [request for request in requests if folder.has(request)]
    if not predicted:
        return 0
    paths = name_overlays(requests)
    progress.start("overlays drawn", len(predicted))
    try:
        for request in predicted:
            file = finder.find(request.image_path)
            if isinstance(file, UnusablePath):
                raise DataError(f"{request.image_path}: {file.message}")
            image = read_image(Path(file.path), 1, max_pixels, readings[request.task])[:, :, 0]
            prediction = folder.read(request, max_pixels)
            _write_picture(folder.folder / paths[request.key], tasks[request.task], image, prediction)
            progress.advance()
    finally:
        progress.finish()
    return len(predicted)


def name_overlays(requests: Sequence[PredictionRequest]) -> dict[Key, PurePosixPath]:
    """Return the path of each request's picture in the folder of predictions, by the request's key.

    It is `overlays/TASK/` and the image's path. Requests that would have one path, such as those of `a.png` and
    `../a.png`, get a hash of their key into the names, so that no picture replaces another.
    """
    keys_by_path: dict[str, list[Key]] = defaultdict(list)
    paths = {request.key: _make_path(request) for request in requests}
    for key, path in paths.items():
        keys_by_path[str(path).casefold()].append(key)  # some file systems do not distinguish letter case
    for keys in keys_by_path.values():
        if len(keys) > 1:
            for key in keys:
                digest = hashlib.sha256(key[1].encode(errors="surrogateescape")).hexdigest()[:8]
                paths[key] = paths[key].with_suffix(f".{digest}.png")
    return paths


def _make_path(request: PredictionRequest) -> PurePosixPath:
    """Return the path of a request's picture, which other requests may have too."""
    # Paths of an index start in csv_files/, so that one ../ leads to the root.
    path = posixpath.normpath(request.image_path).removeprefix("../")
    # An index may leave the root and enter it again, as in ../../root/a.png. The picture must not leave the folder.
    image = PurePosixPath(*("_" if name == ".." else name for name in PurePosixPath(path).parts))
    # The image's suffix stays in the name: a.png and a.jpg are two images.
    return PurePosixPath(OVERLAYS, request.task, image.parent, f"{image.name}.png")


def format_class(task: Task, probs: NDArray[np.float64]) -> str:
    """Return the most probable class with its probability, such as `malignant 0.87`."""
    index = int(probs.argmax())
    return f"{task.class_names[index]} {probs[index]:.2f}"


def _write_picture(path: Path, task: Task, image: NDArray[np.uint8], prediction: Prediction) -> None:
    """Draw one prediction into its image, and write the picture.

    Args:
        path: PNG file to write.
        task: Task of the prediction.
        image: (H, W) gray values.
        prediction: Prediction, in pixels of the image.

    Raises:
        WriteError: The file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = image.shape
    zoom = max(1.0, _MIN_SIDE / max(height, width))
    figure = Figure(figsize=(width * zoom / _DPI, height * zoom / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)  # without pyplot, which would keep each figure in memory and may need a display
    with rc_context({"text.parse_math": False}):  # otherwise a name with dollar signs would be set as a formula
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        draw_label(axes, task, image, prediction.mask, prediction.box, prediction.points)
        _write_legend(axes, task, prediction)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path, single_writer=True) as temporary:
                figure.savefig(temporary, format="png")
        except OSError as error:
            raise make_write_error(path, error) from error


def _write_legend(axes: "Axes", task: Task, prediction: Prediction) -> None:
    """Write the predicted class, or the names of the drawn regions and landmarks, into the upper left corner."""
    lines: list[tuple[str, str]]  # text and color
    match task.type:
        case "segmentation":
            assert prediction.mask is not None
            drawn_classes = [label for label in range(1, task.num_classes) if (prediction.mask == label).any()]
            lines = [(task.class_names[label], get_color(label)) for label in drawn_classes]
            if not lines:
                lines = [("no region", "white")]
        case "classification":
            assert prediction.probs is not None
            lines = [(format_class(task, prediction.probs), "white")]
        case "detection":
            lines = [(task.class_names[0], get_color(1))]
        case "regression":
            lines = [(f"{i} {name}", get_color(i)) for i, name in enumerate(task.class_names, start=1)]
        case _:
            assert_never(task.type)
    background = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.5}
    for i, (text, color) in enumerate(lines):
        # 5 points from the upper left corner of the picture, which is (0, 1) in matplotlib.
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(5, -5 - _LINE_HEIGHT * i), textcoords="offset points",
            va="top", color=color, fontsize=9, bbox=background,
        )  # fmt: skip
