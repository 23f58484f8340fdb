"""Console output of `usaggr predict`: the selected models, the rows that were skipped, and a summary."""

from usaggr.document.display_names import join_names, pluralize
from usaggr.inference.model_selection import ModelSelection
from usaggr.inference.predict import PredictionSummary
from usaggr.inference.prediction_folder import SKIPPED
from usaggr.inference.prediction_pictures import OVERLAYS

MAX_SHOWN = 20
"""Number of skipped rows that are printed; skipped.csv lists all."""


def print_selection(selection: ModelSelection) -> None:
    """Print a table of the run that serves each task, with the reason."""
    from rich.table import Table

    from usaggr.io.rich_console import SafeConsole

    table = Table("task", "model", "reason", title="models", title_justify="left")
    for model in selection.models.values():
        table.add_row(model.task, model.run.name, model.reason)
    console = SafeConsole()
    # Without a terminal, rich would cut the table at 80 columns.
    (console if console.is_terminal else SafeConsole(width=200)).print(table, markup=False)


def format_skipped(summary: PredictionSummary) -> list[str]:
    """Return one line for each row that could not be predicted, below a line with their number; empty without any."""
    if not summary.skipped:
        return []
    lines = [f"{pluralize(len(summary.skipped), 'row')} could not be predicted and were skipped:"]
    lines += [f"  {fault}" for fault in summary.skipped[:MAX_SHOWN]]
    if len(summary.skipped) > MAX_SHOWN:
        lines.append(f"  ... and {len(summary.skipped) - MAX_SHOWN} more ({SKIPPED} lists all)")
    return lines


def format_summary(summary: PredictionSummary) -> list[str]:
    """Return lines with the number of predictions, and of rows of tasks that the models do not have."""
    predictions = summary.requested - summary.unreadable
    existing = f", {summary.existing:,} of them already existed" if summary.existing else ""
    lines = [f"{pluralize(predictions, 'prediction')}{existing}"]
    if summary.overlays:
        lines.append(f"{pluralize(summary.overlays, 'picture')} with predictions drawn in: {OVERLAYS}/")
    if summary.left_out:
        counts = [f"{number:,} of {task}" for task, number in sorted(summary.left_out.items())]
        lines.append(f"rows of tasks that these models do not have: {join_names(counts)}")
    return lines + [f"left out: {line}" for line in summary.unread]
