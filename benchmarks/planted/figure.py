"""Figure of docs/planted.md: the pool's differences, and the verdicts of the studies drawn from it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted.page import Pool, list_cells

VERDICTS = {"gain": "#009E73", "no_loss": "#56B4E9", "undecided": "#BBBBBB", "loss": "#D55E00", "": "#EEEEEE"}
"""Colors of the verdicts, from the palette of Okabe and Ito."""
LABELS = {"no_loss": "no loss", "": "no verdict"}


def draw_figure(pool: Pool, deltas: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw the figure and write it to a file.

    Args:
        pool: Measurements.
        deltas: Differences (K,) of the pool's K seeds by task, under the grouping by relation.
        path: Path of the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list_cells(pool)[::-1]
    figure = Figure(figsize=(9.0, 0.42 * len(shown) + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rng = np.random.default_rng(0)
    for place, cell in enumerate(shown):
        differences = deltas[cell[2]]
        left.scatter(
            differences,
            place + rng.uniform(-0.18, 0.18, differences.size),
            s=9,
            color="#0072B2",
            alpha=0.45,
            linewidths=0,
        )
        left.plot([differences.mean()] * 2, [place - 0.32, place + 0.32], color="black", linewidth=2)
        begin = 0.0
        for verdict, color in VERDICTS.items():
            share = 100 * pool.judged.rate(cell, verdict)
            label = LABELS.get(verdict, verdict) if place == 0 else None
            right.barh(place, share, left=begin, height=0.64, color=color, label=label)
            begin += share
    for sign in (-1, 1):
        left.axvline(sign * pool.margin, color="black", linewidth=0.8, linestyle=":")
    left.axvline(0, color="black", linewidth=0.8)
    left.set_yticks(range(len(shown)), [f"{cell[2]}\n({pool.relations[cell[2]]})" for cell in shown])
    left.set_xlabel(f"differences of {pool.seeds} seeds, mean (line) and margin (dotted)")
    right.set_xlabel(f"verdicts of {pool.judged.draws} studies of {pool.size} seeds, %")
    right.set_xlim(0, 100)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=len(VERDICTS), frameon=False)
    figure.savefig(path, dpi=110)
