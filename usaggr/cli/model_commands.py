"""The commands for trained models outside of a sweep: predict and export."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import Fold, Split, find_in_outputs
from usaggr.cli.option_checks import check_new_file, check_new_folder
from usaggr.errors import ConfigError

if TYPE_CHECKING:
    from usaggr.inference.image_requests import FolderSelection
    from usaggr.inference.predict import IndexSelection

Runs = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_SWEEP", help="Folder of a run, or of a study's results, such as outputs/demo or demo."
    ),
]
PredictionsOut = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder of the predictions.", callback=check_new_folder)
]
IndexRoot = Annotated[
    Path | None, typer.Option("--data", metavar="ROOT", help="Folder that holds csv_files/: predict its index.")
]
ImagesFolder = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="Folder of images without an index: predict them all.")
]
ModelTasks = Annotated[
    str | None,
    typer.Option("--tasks", "--task", help="Task ids, separated by commas. Default: all tasks of the models."),
]


def predict(
    source: Runs,
    out: PredictionsOut,
    root: IndexRoot = None,
    images: ImagesFolder = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw each prediction into its image, in the folder overlays/ of --out.")
    ] = False,
    grouping: Annotated[str | None, typer.Option(help="For a study: use the models of this grouping.")] = None,
    recommended: Annotated[
        bool, typer.Option("--recommended", help="For a study: use the model that its report recommends for each task.")
    ] = False,
    scale: Annotated[float | None, typer.Option(help="For a study. Default: the largest.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="For a study. Default: the first; with --recommended, the best on validation data."),
    ] = None,
    variant: Annotated[str | None, typer.Option(help="For a study. Default: the first.")] = None,
    split: Split = None,
    fold: Fold = None,
    tasks: ModelTasks = None,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    on_bad_image: Annotated[str, typer.Option(help="skip: report the image and continue; error: stop.")] = "skip",
    follow_links: Annotated[
        bool,
        typer.Option("--follow-links", help="Read images that are linked from elsewhere; for your own data."),
    ] = False,
) -> None:
    """Predict the images of an index (--data) or of a folder (--images) into a folder in the FM_UIA layout.

    If it was stopped, run the same command to continue. Exit status 1: some images could not be predicted.
    """
    from usaggr.inference.model_selection import RunFilter, select_models
    from usaggr.inference.predict import PredictionOptions, check_options, parse_on_bad_image
    from usaggr.inference.predict import predict as predict_images
    from usaggr.inference.prediction_console import format_skipped, format_summary, print_selection
    from usaggr.progress import RichProgress

    progress = RichProgress()
    options = PredictionOptions(batch_size, device, parse_on_bad_image(on_bad_image), overlay)
    check_options(options)
    chosen_tasks = tuple(tasks.split(",")) if tasks else ()
    requested = _choose_images(root, images, chosen_tasks, split, fold, follow_links)
    selection = select_models(find_in_outputs(source), grouping, recommended, RunFilter(scale, seed, variant), progress)
    if grouping is not None or recommended:
        print_selection(selection)
    summary = predict_images(selection, requested, out, options, progress)
    for line in format_skipped(summary):
        print(line, file=sys.stderr)
    for line in format_summary(summary):
        print(line)
    print(f"predictions: {out}")
    raise typer.Exit(1 if summary.skipped else 0)


def _choose_images(
    root: Path | None,
    images: Path | None,
    tasks: tuple[str, ...],
    split: Path | None,
    fold: str | None,
    follow_links: bool,
) -> "IndexSelection | FolderSelection":
    """Return the images to predict.

    Args:
        root: Value of --data.
        images: Value of --images.
        tasks: Requested tasks; empty: all tasks of the models.
        split: Value of --split.
        fold: Value of --fold.
        follow_links: Value of --follow-links.

    Raises:
        ConfigError: Neither or both of --data and --images are given, or --images with a split.
    """
    from usaggr.inference.image_requests import FolderSelection
    from usaggr.inference.predict import IndexSelection

    if (root is None) == (images is None):
        raise ConfigError(
            "give either --data ROOT (a folder with csv_files/) or --images DIR (a folder of images), "
            + ("not both" if root is not None else "neither was given")
        )
    if images is None:
        assert root is not None
        return IndexSelection(root, tasks, split, fold, follow_links)
    if split is not None or fold is not None:
        raise ConfigError("--split and --fold select rows of an index; they need --data ROOT instead of --images DIR")
    return FolderSelection(images, tasks, follow_links)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, trained with training.keep_weights.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.onnx",
            help="Default: name of the run, in the current folder.",
            callback=check_new_file,
        ),
    ] = None,
) -> None:
    """Write a run's model as one ONNX file, compare both, and write a JSON file that describes the model."""
    from usaggr.inference.export import export as export_model
    from usaggr.progress import RichProgress

    exported = export_model(find_in_outputs(run), out, RichProgress())
    print(f"model: {exported.onnx} (differs from the run's model by at most {exported.difference:.1g})")
    print(f"card: {exported.card}")
