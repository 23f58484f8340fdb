"""The commands for models that leave the sweep: predict and export."""

import sys
from pathlib import Path
from typing import Annotated

import typer

Runs = Annotated[
    Path,
    typer.Argument(metavar="RUN_OR_SWEEP", help="A run's folder, or that of a study's results, such as outputs/demo."),
]


def predict(
    source: Runs,
    root: Annotated[Path, typer.Option("--data", metavar="ROOT", help="Folder that holds csv_files/.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the predictions.")],
    grouping: Annotated[str | None, typer.Option(help="Of a study: the models of this grouping.")] = None,
    recommended: Annotated[
        bool, typer.Option("--recommended", help="Of a study: for each task the model that its report recommends.")
    ] = False,
    scale: Annotated[float | None, typer.Option(help="Of a study: the largest unless given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a study: the first, or the best on validation.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of a study: the first unless given.")] = None,
    split: Annotated[Path | None, typer.Option(help="split.csv of a study: predict one fold of it.")] = None,
    fold: Annotated[str | None, typer.Option(help="train, val or test (default, with --split).")] = None,
    tasks: Annotated[str | None, typer.Option(help="Ids of tasks, with commas between; all unless given.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images at once.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    on_bad_image: Annotated[str, typer.Option(help="skip: name it and go on; error: end.")] = "skip",
) -> None:
    """Predict the images of an index, with or without labels, into a folder in the FM_UIA layout.

    The same command goes on where it was stopped. Exit status 1: some rows could not be predicted, and were skipped.
    """
    from usaggr.inference.model_selection import Wanted, choose
    from usaggr.inference.predict import Rows, Way, as_policy
    from usaggr.inference.predict import predict as predicted
    from usaggr.inference.prediction_console import print_choice, skipped_lines, told
    from usaggr.progress import RichProgress

    progress = RichProgress()
    way = Way(batch_size, device, as_policy(on_bad_image))
    choice = choose(source, grouping, recommended, Wanted(scale, seed, variant), progress)
    if grouping is not None or recommended:
        print_choice(choice)
    rows = Rows(root, tuple(tasks.split(",")) if tasks else (), split, fold)
    found = predicted(choice, rows, out, way, progress)
    for line in skipped_lines(found):
        print(line, file=sys.stderr)
    for line in told(found):
        print(line)
    print(f"predictions: {out}")
    raise typer.Exit(1 if found.skipped else 0)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, trained with training.keep_weights.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.onnx", help="Default: the run's name, here.")
    ] = None,
) -> None:
    """Write a run's model as one ONNX file, compared with the model itself, and a JSON card beside it."""
    from usaggr.inference.export import export as exported
    from usaggr.progress import RichProgress

    found = exported(run, out, RichProgress())
    print(f"model: {found.onnx} (differs from the run's by {found.difference:.1g} at the most)")
    print(f"card: {found.card}")
