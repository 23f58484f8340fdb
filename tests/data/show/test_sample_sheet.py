"""The sheet of samples shows each task, with the labels at their positions."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from tests.data.factories import data_config, tiny_data
from usaggr.data.read.images import read_image
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset
from usaggr.data.show.sample_sheet import COLORS, choose_samples, draw_sample, draw_sheet


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("sheet")
    return load_dataset(data_config(tiny_data(folder / "data", 9), folder / "cache"))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def find_colored_pixels(dataset: Dataset, task: str) -> np.ndarray:
    """Return a mask (H, W) of the pixels that have a color in the picture of a task's first sample."""
    figure = Figure(figsize=(3.2, 2.4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    sample = dataset.by_task[task][0]
    draw_sample(axes, dataset.tasks[task], sample, read_image(sample.image_path, 1, 10**6)[:, :, 0], 10**6)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)
    return np.ptp(drawn, axis=2) > 40


def test_a_sheet_is_a_png_of_a_sensible_size(dataset: Dataset, tmp_path: Path) -> None:
    draw_sheet(dataset, tmp_path / "new" / "sheet.png", 10**6, per_task=3)
    drawn = pixels(tmp_path / "new" / "sheet.png")
    assert 400 < drawn.shape[1] < 900
    assert 400 < drawn.shape[0] < 1600


def test_more_samples_make_a_wider_sheet(dataset: Dataset, tmp_path: Path) -> None:
    for count in (1, 4):
        draw_sheet(dataset, tmp_path / f"{count}.png", 10**6, per_task=count)
    assert pixels(tmp_path / "4.png").shape[1] > 2 * pixels(tmp_path / "1.png").shape[1]


def test_a_sheet_is_the_same_every_time(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_sheet(dataset, tmp_path / name, 10**6)
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_classes_alternate(dataset: Dataset) -> None:
    assert {sample.label for sample in choose_samples(dataset.by_task["cls"], 3)} == {0, 1, 2}
    assert len(choose_samples(dataset.by_task["cls"], 100)) == 9
    assert choose_samples([], 3) == []


def test_subjects_alternate(tmp_path: Path) -> None:
    data = data_config(tiny_data(tmp_path / "data", 8), tmp_path / "cache", subject_patterns={"seg": r"s(\d+)_"})
    samples = load_dataset(data).by_task["seg"]
    assert len({sample.subject_id for sample in samples}) == 4
    assert len({sample.subject_id for sample in choose_samples(samples, 4)}) == 4


def test_the_outline_of_a_mask_is_drawn_on_its_border(dataset: Dataset) -> None:
    # A disc with a radius of 6 pixels around pixel (12, 16) of 24 x 32, drawn ten times as large.
    y, x = np.nonzero(find_colored_pixels(dataset, "seg"))
    distance = np.hypot(y - 125, x - 165)
    assert len(y) > 100
    assert distance.min() > 50
    assert distance.max() < 66


def test_a_box_is_drawn_on_its_edges(dataset: Dataset) -> None:
    sample = dataset.by_task["det"][0]
    assert sample.box is not None
    y, x = np.nonzero(find_colored_pixels(dataset, "det"))
    assert (x.min(), x.max()) == pytest.approx((10 * sample.box[0], 10 * sample.box[2]), abs=4)
    assert (y.min(), y.max()) == pytest.approx((10 * sample.box[1], 10 * sample.box[3]), abs=4)


def test_landmarks_are_drawn_at_their_coordinates(dataset: Dataset) -> None:
    sample = dataset.by_task["reg"][3]
    figure = Figure(figsize=(3.2, 2.4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_sample(axes, dataset.tasks["reg"], sample, read_image(sample.image_path, 1, 10**6)[:, :, 0], 10**6)
    marks = [(line.get_xdata()[0] + 0.5, line.get_ydata()[0] + 0.5) for line in axes.lines]  # type: ignore[index]
    assert np.array(marks) == pytest.approx(np.array(sample.points))
    assert [text.get_text() for text in axes.texts] == ["1", "2"]


def test_the_class_is_written_above_the_image(dataset: Dataset) -> None:
    sample = dataset.by_task["cls"][1]
    axes = Figure().add_subplot()
    draw_sample(axes, dataset.tasks["cls"], sample, np.zeros((24, 32), np.uint8), 10**6)
    assert axes.get_title() == dataset.tasks["cls"].class_names[sample.label or 0]


def test_the_colors_of_the_first_five_classes_are_far_apart() -> None:
    colors = np.array([to_rgb(color) for color in COLORS[:5]])
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=2) + np.eye(5)
    assert distances.min() > 0.35
