"""Figures of the use of experts: shares of experts of each task in one model, and entropy of the routing.

Colors and positions of experts are meaningful only within one model, because numbers of experts are arbitrary.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from usaggr.report.figure_style import INK
from usaggr.report.routing.tables import Array, RunRouting
from usaggr.report.task_rows import GROUP_BAR_WIDTH, TaskRow, compute_names_width, label_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_COLOR_MAP = "PuOr"
"""ColorBrewer map, distinguishable with common color blindness; unlike RdBu it suggests neither better nor worse."""
_ROW = 0.19
"""Height in inches of a task's row."""
_COLUMNS_WIDTH = 6.2
"""Width in inches of all columns of experts, unless a column becomes too narrow or too wide."""
_NARROW, _WIDE = 0.07, 0.24
"""Smallest and largest width in inches of a column."""
_LEGIBLE = 0.115
"""Width in inches of a column that has room for a digit of its number."""
_PANEL = 1.0
"""Width in inches of a panel of entropies."""
_SMALLEST_RANGE = 0.2
"""Smallest range of the axis of entropies, so that tiny differences look small."""
_DOT = "#0072B2"


def draw_shares(routed: RunRouting, tasks: Sequence[str], groups: Mapping[str, str]) -> "Figure | None":
    """Draw shares of experts, with a panel per transformer block, a row per task and a column per expert.

    Args:
        routed: Use of experts in a run.
        tasks: Tasks in the order of rows, sorted by clinical group.
        groups: Clinical group of each task.

    Returns:
        The figure; None if the run has a single task.
    """
    from matplotlib.figure import Figure

    if len(routed.tasks) < 2:
        return None
    names = [task for task in tasks if task in routed.tasks]
    shares = routed.share[[routed.tasks.index(task) for task in names]]
    width = float(np.clip(_COLUMNS_WIDTH / (len(routed.blocks) * routed.experts), _NARROW, _WIDE))
    labels = _label_tasks(names, groups)
    panel_width = width * routed.experts
    inches = compute_names_width(labels) + (panel_width + 0.12) * len(routed.blocks) + 0.1
    figure = Figure(figsize=(max(inches, 3.6), _ROW * len(names) + 1.85), layout="constrained")
    axes = figure.subplots(
        1,
        len(routed.blocks) + 1,
        squeeze=False,
        sharey=True,
        width_ratios=[GROUP_BAR_WIDTH, *[panel_width] * len(routed.blocks)],
    ).flatten()
    norm = _choose_colors(shares)
    for panel, block, block_shares, dead in zip(
        axes[1:], routed.blocks, shares.swapaxes(0, 1), routed.dead, strict=True
    ):
        _draw_panel(panel, block_shares, dead, norm, width)
        panel.set_title(f"block {block}", pad=12 if routed.dead.any() else 4)
    label_rows(axes[0], axes[1:].tolist(), labels, names)
    _add_bar(figure, axes[1:].tolist(), norm, 1 / routed.experts)
    label = "experts of each transformer block"
    if routed.dead.any():
        label += "\n× dead: less than a tenth of an even share on every task"
    figure.supxlabel(label, fontsize=7.5)
    return figure


def describe_shares(routed: RunRouting) -> str:
    """Return a caption of the figure of shares."""
    even = 1 / routed.experts
    task, block, expert = np.unravel_index(int(routed.share.argmax()), routed.share.shape)
    dead = int(routed.dead.sum())
    return (
        f"Shares of experts in one model, {routed.run.row.run_id} (seed {routed.run.row.seed}); numbers of experts are "
        "arbitrary in each model. Rows are tasks, panels transformer blocks, columns experts. Color: the expert's "
        f"share of the task's test tokens, by weight. White is an even share, {even:.3g}; violet is more, brown less. "
        f"The largest share is {routed.share.max():.2f}: {routed.tasks[task]}, expert {expert + 1} of block "
        f"{routed.blocks[block]}. {dead or 'None'} of {routed.dead.size} experts {'is' if dead < 2 else 'are'} dead"
        f"{' (×)' if dead else ''}."
    )


def describe_entropy(runs: Sequence[RunRouting]) -> str:
    """Return a caption of the figure of entropies of at least one run."""
    first = runs[0]
    entropy = np.mean([routed.entropy for routed in runs], axis=0)
    by_block = entropy.mean(axis=0)
    task, block = np.unravel_index(int(entropy.argmin()), entropy.shape)
    return (
        "Rows are tasks, panels transformer blocks, dots seeds, and bars their means. Entropy of the router's softmax, "
        "mean over the task's tokens, divided by that of an even softmax: 1 if the router uses all experts equally, 0 "
        "if it sends each token to one expert. Mean over tasks and seeds: "
        f"{', '.join(f'{value:.2f} in block {name}' for value, name in zip(by_block, first.blocks, strict=True))}. "
        f"Lowest: {first.tasks[task]} in block {first.blocks[block]}, {entropy.min():.2f}."
    )


def _draw_panel(panel: "Axes", shares: Array, dead: NDArray[np.bool_], norm: "Normalize", width: float) -> None:
    """Draw the shares in one transformer block.

    Args:
        panel: Panel to draw in.
        shares: (T, E) shares of experts.
        dead: (E,) mask of dead experts.
        norm: Range of colors.
        width: Width of a column in inches.
    """
    tasks, experts = shares.shape
    panel.pcolormesh(
        np.arange(experts + 1) - 0.5, np.arange(tasks + 1) - 0.5, shares, cmap=_COLOR_MAP, norm=norm,
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


def _choose_colors(shares: Array) -> "Normalize":
    """Return colors that are white at an even share, and full at twice that or more, so that noise looks small."""
    from matplotlib.colors import TwoSlopeNorm

    even = 1 / shares.shape[-1]
    top = min(1.0, max(2 * even, float(shares.max())))
    # With one expert an even share is 1, and the norm needs a larger end.
    return TwoSlopeNorm(even, 0.0, max(top, even + 1e-6))


def _add_bar(figure: "Figure", axes: "list[Axes]", norm: "Normalize", even: float) -> None:
    from matplotlib.cm import ScalarMappable

    colors = ScalarMappable(norm, _COLOR_MAP)
    bar = figure.colorbar(colors, ax=axes, orientation="horizontal", fraction=0.04, pad=0.02, aspect=45)
    top = float(norm.vmax or 1.0)
    # Both halves of the scale have the same length on the bar, although their ranges differ.
    ticks = [0.0, even / 2, even, (even + top) / 2, top]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" if tick != even else f"{even:.3g} even" for tick in ticks])
    bar.ax.axvline(even, color="black", linewidth=1.2)
    bar.set_label("share of the task's tokens, by weight")


def draw_entropy(runs: Sequence[RunRouting], tasks: Sequence[str], groups: Mapping[str, str]) -> "Figure | None":
    """Draw the entropy of the router's softmax, with a panel per transformer block and a row per task.

    Args:
        runs: Runs of the same tasks that differ by seed.
        tasks: Tasks in the order of rows, sorted by clinical group.
        groups: Clinical group of each task.

    Returns:
        The figure; None without a run.
    """
    from matplotlib.figure import Figure

    if not runs:
        return None
    first = runs[0]
    names = [task for task in tasks if task in first.tasks]
    entropy = np.stack([routed.entropy[[routed.tasks.index(task) for task in names]] for routed in runs])
    labels = _label_tasks(names, groups)
    figure = Figure(
        figsize=(max(compute_names_width(labels) + _PANEL * len(first.blocks) + 0.1, 3.6), _ROW * len(names) + 1.0),
        layout="constrained",
    )
    axes = figure.subplots(
        1,
        len(first.blocks) + 1,
        squeeze=False,
        sharey=True,
        width_ratios=[GROUP_BAR_WIDTH, *[_PANEL] * len(first.blocks)],
    ).flatten()
    # The axis begins at a multiple of 0.1 that is at least 0.02 below the smallest entropy.
    low = max(0.0, min(float(np.floor(10 * entropy.min() - 0.2)) / 10, 1 - _SMALLEST_RANGE))
    y = np.arange(len(names))
    for index, (panel, block) in enumerate(zip(axes[1:], first.blocks, strict=True)):
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlim(low - 0.04 * (1 - low), 1 + 0.04 * (1 - low))
        panel.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        panel.set_axisbelow(True)
        for seed_entropy in entropy[:, :, index]:
            panel.plot(seed_entropy, y, linestyle="none", marker="o", markersize=3.2, color=_DOT, alpha=0.55, mew=0)
        mean = entropy[:, :, index].mean(axis=0)
        panel.plot(mean, y, linestyle="none", marker="|", markersize=7, color="black", mew=1.1)
        panel.set_title(f"block {block}")
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_color(INK)
        panel.set_xticks([low, (low + 1) / 2, 1], [f"{tick:.2g}" for tick in (low, (low + 1) / 2, 1)])
    label_rows(axes[0], axes[1:].tolist(), labels, names)
    figure.supxlabel("entropy of the router's softmax\n(1: all experts are used equally)", fontsize=8)
    return figure


def _label_tasks(tasks: Sequence[str], groups: Mapping[str, str]) -> dict[str, TaskRow]:
    """Return the label of each task's row."""
    return {task: TaskRow(task, groups[task]) for task in tasks}
