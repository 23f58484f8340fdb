"""What `predict` tells people: which models were chosen, and what came of it."""

from usaggr.document.display_names import listed, plural
from usaggr.inference.model_selection import Choice
from usaggr.inference.predict import SKIPPED, Predicted

SHOWN = 20
"""Skipped rows that are named; skipped.csv has all."""


def print_choice(choice: Choice) -> None:
    """Print a table of which run serves which task, and why; wide where it is no terminal, so that nothing is cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "model", "because", title="models", title_justify="left")
    for model in choice.models.values():
        table.add_row(model.task, model.run.name, model.because)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def skipped_lines(found: Predicted) -> list[str]:
    """What could not be predicted, row by row; empty where nothing is wrong."""
    if not found.skipped:
        return []
    lines = [f"{plural(len(found.skipped), 'row')} skipped, which could not be predicted:"]
    lines += [f"  {fault}" for fault in found.skipped[:SHOWN]]
    if len(found.skipped) > SHOWN:
        lines.append(f"  ... and {len(found.skipped) - SHOWN} more ({SKIPPED} lists all)")
    return lines


def told(found: Predicted) -> list[str]:
    """How many predictions there are, and what was left alone."""
    images = found.asked - found.unread
    kept = f", {found.kept:,} of them kept from before" if found.kept else ""
    lines = [f"{plural(images, 'prediction')}{kept}"]
    if found.left_out:
        of = [f"{number:,} of {task}" for task, number in sorted(found.left_out.items())]
        lines.append(f"rows of tasks that these models do not have: {listed(of)}")
    return lines
