"""A sheet of samples with their labels drawn in: people look at data before they train on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.data.images import read_image, read_mask
from usaggr.data.samples import Dataset, Sample
from usaggr.data.seeds import generator
from usaggr.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
"""Okabe and Ito's, told apart by colour-blind people too."""
MAX_PIXELS = 100_000_000
BLOCKS = 2
"""Tasks side by side."""


def draw_sheet(dataset: Dataset, path: Path, per_task: int = 4) -> None:
    """Write a PNG with a row of samples for each task, drawn by lot; classes take turns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = list(dataset.tasks.values())
    blocks = BLOCKS if len(tasks) > 4 else 1
    lines = -(-len(tasks) // blocks)
    figure = Figure(figsize=(blocks * per_task * 1.75 + 0.4, lines * 2.15), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (task, part) in enumerate(
        zip(tasks, figure.subfigures(lines, blocks, squeeze=False).T.flat, strict=False)
    ):
        part.suptitle(f"{task.id}  ·  {task.type}, {task.clinical_group}", fontsize=9, x=0.02, ha="left", weight="bold")
        part.set_facecolor("#f4f4f4" if number % 2 else "white")
        chosen = choose_samples(dataset.by_task[task.id], per_task)
        for place, axes in enumerate(part.subplots(1, per_task, squeeze=False)[0]):
            axes.set_axis_off()
            if place < len(chosen):
                draw_sample(axes, task, chosen[place])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def choose_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Some samples by lot, as many of each class as can be."""
    rng = generator("sheet", samples[0].task_id)
    shuffled = [samples[i] for i in rng.permutation(len(samples))]
    turn: dict[int, int] = {}
    places = []
    for sample in shuffled:
        turn[sample.stratum] = turn.get(sample.stratum, 0) + 1
        places.append((turn[sample.stratum], sample.stratum))
    order = sorted(range(len(shuffled)), key=lambda i: places[i])
    return [shuffled[i] for i in order[:count]]


def draw_sample(axes: "Axes", task: Task, sample: Sample) -> None:
    """One image with its label: outlines of classes, class name, box or numbered landmarks."""
    image = read_image(sample.image_path, 1, MAX_PIXELS)[:, :, 0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    if sample.mask_path is not None:
        mask = read_mask(sample.mask_path, foreground_255=True)
        for label in range(1, task.num_classes):
            colour = COLOURS[(label - 1) % len(COLOURS)]
            if (mask == label).any():
                axes.contour(mask == label, levels=[0.5], colors=[colour], linewidths=1.2)
            name = task.class_names[label]
            axes.text(0.02, 1.0 - 0.1 * (label - 1), name, color=colour, fontsize=6, va="top", transform=axes.transAxes)
    elif sample.label is not None:
        axes.set_title(task.class_names[sample.label], fontsize=7, pad=2)
    elif sample.box is not None:
        x0, y0, x1, y1 = sample.box
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=COLOURS[0], linewidth=1.3)
    elif sample.points is not None:
        for number, (x, y) in enumerate(sample.points, start=1):
            colour = COLOURS[(number - 1) % len(COLOURS)]
            axes.plot(x, y, "+", color=colour, markersize=8, markeredgewidth=1.5)
            axes.annotate(str(number), (x, y), xytext=(3, 3), textcoords="offset points", color=colour, fontsize=7)
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)
