"""Figures of how experts are used: shares of experts task by task in one model, and how sharply tokens are routed.

What the colours and places of experts say holds within one model: experts of another one have nothing to do with them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from usaggr.report.figure_style import INK
from usaggr.report.routing.tables import Array, RunRouting
from usaggr.report.task_rows import BESIDE, TaskRow, label_rows, names_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_COLOUR_MAP = "PuOr"
"""ColorBrewer's, told apart with every common colour blindness; unlike RdBu it says neither better nor worse."""
_ROW = 0.19
_COLUMNS_WIDTH = 6.2
"""Inches that all columns of experts take, if these do not become too narrow or too wide."""
_NARROW, _WIDE = 0.07, 0.24
_LEGIBLE = 0.115
"""Inches of a column that a number fits under."""
_PANEL = 1.0
_SHARP = 0.2
"""Least width of the axis of entropies."""
_DOT = "#0072B2"


def draw_shares(one: RunRouting, tasks: Sequence[str], groups: Mapping[str, str]) -> "Figure | None":
    """A panel a transformer block, a row a task, a column an expert, coloured by the task's share; white is even.

    Args:
        one: a run; None is returned where it serves a single task.
        tasks: an order that the run's tasks are put in, sorted by clinical group.
        groups: task: clinical group.
    """
    from matplotlib.figure import Figure

    if len(one.tasks) < 2:
        return None
    rows = [task for task in tasks if task in one.tasks]
    shares = one.share[[one.tasks.index(task) for task in rows]]
    width = float(np.clip(_COLUMNS_WIDTH / (len(one.blocks) * one.experts), _NARROW, _WIDE))
    named = _named(rows, groups)
    panel_width = width * one.experts
    inches = names_width(named) + (panel_width + 0.12) * len(one.blocks) + 0.1
    figure = Figure(figsize=(max(inches, 3.6), _ROW * len(rows) + 1.85), layout="constrained")
    axes = figure.subplots(
        1, len(one.blocks) + 1, squeeze=False, sharey=True, width_ratios=[BESIDE, *[panel_width] * len(one.blocks)]
    ).flatten()
    norm = _colours(shares)
    for panel, block, of_block, dead in zip(axes[1:], one.blocks, shares.swapaxes(0, 1), one.dead, strict=True):
        _draw_panel(panel, of_block, dead, norm, width)
        panel.set_title(f"block {block}", pad=12 if one.dead.any() else 4)
    label_rows(axes[0], axes[1:].tolist(), named, rows)
    _add_bar(figure, axes[1:].tolist(), norm, 1 / one.experts)
    said = "experts of each transformer block"
    if one.dead.any():
        said += "\n× dead: under a tenth of an even share on every task"
    figure.supxlabel(said, fontsize=7.5)
    return figure


def describe_shares(one: RunRouting) -> str:
    """What the figure of shares shows, in words."""
    even = 1 / one.experts
    task, block, expert = np.unravel_index(int(one.share.argmax()), one.share.shape)
    dead = int(one.dead.sum())
    return (
        f"One model, {one.run.row.run_id} (seed {one.run.row.seed}); experts of other models have nothing to do with "
        "its own. A row a task, a panel a transformer block, a column an expert: the expert's share of the task's "
        f"tokens on the test fold, by combination weight. White is an even share, {even:.3g}; violet is more, brown "
        f"less. The largest share is {one.share.max():.2f}: {one.tasks[task]}, expert {expert + 1} of block "
        f"{one.blocks[block]}. {dead or 'No'} of {one.dead.size} experts {'is' if dead < 2 else 'are'} dead"
        f"{' (×)' if dead else ''}."
    )


def describe_entropy(runs: Sequence[RunRouting]) -> str:
    """What the figure of entropies shows, in words; of at least one run."""
    first = runs[0]
    entropy = np.mean([one.entropy for one in runs], axis=0)
    by_block = entropy.mean(axis=0)
    task, block = np.unravel_index(int(entropy.argmin()), entropy.shape)
    return (
        "A row a task, a panel a transformer block, a dot a seed, a bar their mean: entropy of the router's softmax, "
        "mean over the task's tokens, over that of an even softmax; 1 where the router does not tell experts apart, 0 "
        "where it sends each token to one. Mean over tasks and seeds: "
        f"{', '.join(f'{value:.2f} in block {name}' for value, name in zip(by_block, first.blocks, strict=True))}. "
        f"Lowest: {first.tasks[task]} in block {first.blocks[block]}, {entropy.min():.2f}."
    )


def _draw_panel(panel: "Axes", shares: Array, dead: NDArray[np.bool_], norm: "Normalize", width: float) -> None:
    """`shares` is (T, E), `dead` (E,), `width` that of a column in inches."""
    tasks, experts = shares.shape
    panel.pcolormesh(
        np.arange(experts + 1) - 0.5, np.arange(tasks + 1) - 0.5, shares, cmap=_COLOUR_MAP, norm=norm,
        edgecolors="white", linewidth=0.4,
    )  # fmt: skip
    panel.set_ylim(tasks - 0.5, -0.5)
    shown = range(experts) if width >= _LEGIBLE * len(str(experts)) else sorted({0, experts - 1})
    panel.set_xticks(list(shown), [str(expert + 1) for expert in shown])
    panel.tick_params(length=0, pad=2)
    for spine in panel.spines.values():
        spine.set_visible(False)
    for expert in np.flatnonzero(dead):
        panel.text(float(expert), -0.55, "×", ha="center", va="bottom", fontsize=8, fontweight="bold", clip_on=False)


def _colours(shares: Array) -> "Normalize":
    """White at an even share; twice that at least has full colour, so that noise is not blown up."""
    from matplotlib.colors import TwoSlopeNorm

    even = 1 / shares.shape[-1]
    top = min(1.0, max(2 * even, float(shares.max())))
    return TwoSlopeNorm(even, 0.0, max(top, even + 1e-6))


def _add_bar(figure: "Figure", axes: "list[Axes]", norm: "Normalize", even: float) -> None:
    from matplotlib.cm import ScalarMappable

    colours = ScalarMappable(norm, _COLOUR_MAP)
    bar = figure.colorbar(colours, ax=axes, orientation="horizontal", fraction=0.04, pad=0.02, aspect=45)
    top = float(norm.vmax or 1.0)
    ticks = [0.0, even / 2, even, (even + top) / 2, top]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" if tick != even else f"{even:.3g} even" for tick in ticks])
    bar.ax.axvline(even, color="black", linewidth=1.2)
    bar.set_label("share of the task's tokens, by weight")


def draw_entropy(runs: Sequence[RunRouting], tasks: Sequence[str], groups: Mapping[str, str]) -> "Figure | None":
    """A panel a transformer block, a row a task, a dot a seed, a bar their mean: entropy of the router's softmax.

    Args:
        runs: of the same tasks, differing by seed; None is returned where there is none.
        tasks: an order that the runs' tasks are put in, sorted by clinical group.
        groups: task: clinical group.
    """
    from matplotlib.figure import Figure

    if not runs:
        return None
    first = runs[0]
    rows = [task for task in tasks if task in first.tasks]
    entropy = np.stack([one.entropy[[one.tasks.index(task) for task in rows]] for one in runs])
    named = _named(rows, groups)
    figure = Figure(
        figsize=(max(names_width(named) + _PANEL * len(first.blocks) + 0.1, 3.6), _ROW * len(rows) + 1.0),
        layout="constrained",
    )
    axes = figure.subplots(
        1, len(first.blocks) + 1, squeeze=False, sharey=True, width_ratios=[BESIDE, *[_PANEL] * len(first.blocks)]
    ).flatten()
    low = max(0.0, min(float(np.floor(10 * entropy.min() - 0.2)) / 10, 1 - _SHARP))
    y = np.arange(len(rows))
    for place, (panel, block) in enumerate(zip(axes[1:], first.blocks, strict=True)):
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.set_xlim(low - 0.04 * (1 - low), 1 + 0.04 * (1 - low))
        panel.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        panel.set_axisbelow(True)
        for of_seed in entropy[:, :, place]:
            panel.plot(of_seed, y, linestyle="none", marker="o", markersize=3.2, color=_DOT, alpha=0.55, mew=0)
        mean = entropy[:, :, place].mean(axis=0)
        panel.plot(mean, y, linestyle="none", marker="|", markersize=7, color="black", mew=1.1)
        panel.set_title(f"block {block}")
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_color(INK)
        panel.set_xticks([low, (low + 1) / 2, 1], [f"{tick:.2g}" for tick in (low, (low + 1) / 2, 1)])
    label_rows(axes[0], axes[1:].tolist(), named, rows)
    figure.supxlabel("entropy of the router's softmax\n(1: experts are not told apart)", fontsize=8)
    return figure


def _named(rows: Sequence[str], groups: Mapping[str, str]) -> dict[str, TaskRow]:
    """Return the label of each row."""
    return {task: TaskRow(task, groups[task]) for task in rows}
