"""The commands, a few lines each: what they do is in the rooms, which are imported by the command that needs them.

Exit status: 0 all done, 1 some runs failed, 2 the request is wrong (one message on standard error, no traceback).
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr import __version__, completion
from usaggr.cli_advise import advise
from usaggr.cli_affinity import affinity
from usaggr.cli_data import index_app
from usaggr.cli_models import export, predict
from usaggr.errors import ConfigError, UsaggrError, one_of
from usaggr.files import cannot_write, is_unwritable
from usaggr.stopping import RunInterrupted

if TYPE_CHECKING:
    from rich.console import Console

    from usaggr.config import StudyConfig
    from usaggr.sweep.plan import Plan

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STUDY] [OVERRIDES]...",
        help="A study of sweeps/ or a path to a .yaml (default: demo), and overrides in Hydra's grammar, "
        "such as training.batch_size=16 'seeds=[0,1]'.",
        show_default=False,
        autocompletion=completion.words,
    ),
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="Folder searched before ./conf and ./sweeps.", show_default=False)
]
Results = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Folder of a study's results, such as outputs/demo.",
        autocompletion=completion.results,
    ),
]

app = typer.Typer(
    help="Should my ultrasound tasks share one model? Sweeps over ways of grouping tasks, with evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
completion.use_own_scripts()
data_app = typer.Typer(help="Look at data before anything is trained.", no_args_is_help=True)
app.add_typer(data_app, name="data")
data_app.add_typer(index_app, name="index")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of no command."""


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except UsaggrError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except RunInterrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if not is_unwritable(error):
            raise
        print(cannot_write(Path(error.filename or "."), error), file=sys.stderr)
        sys.exit(2)


@app.command()
def sweep(
    words: Words = None,
    config_dir: ConfigDir = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs once more.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Train at most N runs.", metavar="N")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, as `plan` does.")] = False,
) -> None:
    """Train what is not trained yet, and write the report."""
    started = time.monotonic()
    plan_ = _plan(words, config_dir)
    planned = time.monotonic() - started
    if dry_run:
        _show_plan(plan_)
        return
    from usaggr.report.build import refresh_report
    from usaggr.sweep.sweep import run_sweep

    outcome = run_sweep(
        plan_, retry_failed=retry_failed, fail_fast=fail_fast, limit=limit, build=refresh_report, planned=planned
    )
    raise typer.Exit(outcome.exit_status)


@app.command()
def plan(words: Words = None, config_dir: ConfigDir = None) -> None:
    """List every run with its state, and what the sweep would take."""
    _show_plan(_plan(words, config_dir))


@app.command()
def status(
    directory: Results,
    watch: Annotated[bool, typer.Option("--watch", help="Keep on looking until all is done.")] = False,
) -> None:
    """Say which runs are done, running, failed (and why), stale, pending or unplanned."""
    from usaggr.sweep.status import print_status

    print_status(_results(directory), _console(), watch=watch)


@app.command()
def clean(
    directory: Results,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List runs that the study no longer asks for and weights that were kept, then remove them."""
    from usaggr.sweep.clean import removable, remove, size

    items = removable(_results(directory))
    for item in items:
        print(item)
    if not items:
        print("nothing to remove")
    elif not yes and not sys.stdin.isatty():
        print("nothing was removed: --yes does so without asking")
    elif yes or typer.confirm(f"Remove {size(sum(item.bytes for item in items))}?"):
        print(f"{size(remove(items))} set free")


@app.command()
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of one study's results.", autocompletion=completion.results),
    ],
) -> None:
    """Write the report anew from what is in runs/; several folders of one study and split are joined."""
    from usaggr.report.build import build_report

    print(build_report([_results(directory) for directory in directories]))


@app.command()
def train(
    words: Words = None,
    config_dir: ConfigDir = None,
    block: Annotated[
        str | None, typer.Option(help="Of this block: a task id, unified, or its name in a grouping.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Of this scale: a fraction, or a cap of samples a task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of this seed.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of this variant.")] = None,
) -> None:
    """Train one run in the foreground, for debugging: the first that is not done and has what the options ask for."""
    from usaggr.progress import RichProgress
    from usaggr.sweep.foreground import choose_run, print_scores, train_run
    from usaggr.sweep.plan import write_plan

    plan_ = _plan(words, config_dir)
    run = choose_run(plan_, block, scale, seed, variant)
    write_plan(plan_)
    print(f"training {run.directory}")
    train_run(plan_, run, RichProgress())
    print_scores(run, _console())


app.command()(advise)
app.command()(affinity)
app.command()(predict)
app.command()(export)


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder in the challenge's layout.")],
    root: Annotated[Path, typer.Option("--data", metavar="ROOT", help="Folder that holds csv_files/.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OVERRIDES]...", help="Such as data.foreground_255=true.", autocompletion=completion.overrides
        ),
    ] = None,
    split: Annotated[Path | None, typer.Option(help="split.csv of a study: score one fold of it.")] = None,
    fold: Annotated[str | None, typer.Option(help="train, val or test (default, with --split).")] = None,
    tasks: Annotated[str | None, typer.Option(help="Ids of tasks, with commas between; all unless given.")] = None,
    mode: Annotated[str, typer.Option(help="challenge: its own scores, with their quirks; strict: ours.")] = "strict",
    config_dir: ConfigDir = None,
) -> None:
    """Score predictions in the FM_UIA layout, and name what is wrong with them.

    Writes evaluation.json and evaluation.md beside them. Exit status 1: some samples have no usable prediction.
    """
    from usaggr.challenge.evaluate import evaluate as scored
    from usaggr.challenge.scores import as_mode
    from usaggr.challenge.selection import select
    from usaggr.challenge.written import print_evaluation, write_evaluation
    from usaggr.data.dataset import load_dataset
    from usaggr.progress import RichProgress

    chosen = as_mode(mode)
    study = _study_of_data(root, overrides or [], config_dir)
    progress = RichProgress()
    dataset = load_dataset(study.data, progress)
    selection = select(dataset, split, fold, tasks.split(",") if tasks else ())
    found = scored(predictions, dataset, selection, study.data, study.metrics.nsd_tolerance, progress)
    print_evaluation(found, chosen, _console())
    for path in write_evaluation(found, chosen):
        print(path)
    raise typer.Exit(0 if found.complete else 1)


@app.command()
def config(
    words: Words = None,
    config_dir: ConfigDir = None,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
) -> None:
    """Print the composed configuration."""
    from usaggr.compose import describe_study, describe_values

    study = _study(words, config_dir)
    print(describe_values(study) if sources else describe_study(study), end="")


@data_app.command("check")
def data_check(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path | None, typer.Option(help="Also write the faults to this CSV.", show_default=False)] = None,
    pairs: Annotated[Path | None, typer.Option(help="Also write near-duplicates over folds to this CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write all that was found, with pictures, as a page.")] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write corrected data to a new folder DIR, beside the original.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="With --fix: copy files, where links cannot be made.")] = False,
) -> None:
    """Read and check a whole data set: every fault, near-duplicates over folds, balance, images and labels."""
    from usaggr.data.check.command import Outputs, run_check
    from usaggr.progress import RichProgress

    data = _study(words, config_dir).data
    outputs = Outputs(faults=out, pairs=pairs, html=html, fixed=fix, copy=copy)
    raise typer.Exit(run_check(data, outputs, _console(), RichProgress()))


@data_app.command("show")
def data_show(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("samples.png"),
    per_task: Annotated[int, typer.Option(min=1, help="Samples of each task in the picture.")] = 4,
) -> None:
    """Count samples, classes, subjects and what tasks share, and draw samples with their labels."""
    from usaggr.data.dataset import load_dataset
    from usaggr.data.overview import print_overview
    from usaggr.data.sheet import draw_sheet
    from usaggr.progress import RichProgress

    data = _study(words, config_dir).data
    dataset = load_dataset(data, RichProgress())
    print_overview(dataset, _console())
    draw_sheet(dataset, out, data.max_pixels, per_task)
    print(f"samples with their labels: {out}")


@data_app.command("make")
def data_make(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Folder to write, in the FM_UIA layout.")] = Path("synthetic"),
) -> None:
    """Write the synthetic data set, to look at or to read with data=fmuia data.root=DIR."""
    from usaggr.data.synthetic.writer import write_synthetic
    from usaggr.progress import RichProgress

    data = _study(words, config_dir).data
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty; the data need a folder of their own")
    write_synthetic(data.synthetic, out, data.workers, RichProgress())
    print(f"synthetic data: {out}")


def split_words(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The study, if one is named, and the overrides among the arguments of a command.

    An argument with '=', or that begins with '+' or '~', is an override; the first other one is the study.

    Raises:
        ConfigError: a second argument that is no override.
    """
    overrides = [word for word in words if "=" in word or word.startswith(("+", "~"))]
    others = [word for word in words if word not in overrides]
    if len(others) > 1:
        raise ConfigError(f"'{others[1]}': neither an override (key=value) nor the study, which is '{others[0]}'")
    return (others[0] if others else None), overrides


def _study(words: Sequence[str] | None, config_dir: Path | None) -> "StudyConfig":
    from usaggr.compose import DEFAULT_STUDY, compose_study

    study, overrides = split_words(words or [])
    return compose_study(study or DEFAULT_STUDY, overrides, config_dir)


def _study_of_data(root: Path, overrides: Sequence[str], config_dir: Path | None) -> "StudyConfig":
    """The default study on the data at a root, in the FM_UIA layout unless an override chooses another.

    Raises:
        ConfigError: an argument that is no override.
    """
    from usaggr.compose import DEFAULT_STUDY, compose_study

    study, words = split_words(overrides)
    if study is not None:
        raise ConfigError(f"'{study}': not an override (key=value)")
    data = [] if any(word.startswith("data=") for word in words) else ["data=fmuia"]
    quoted = str(root).replace("\\", "\\\\").replace("'", "\\'")
    return compose_study(DEFAULT_STUDY, [*data, *words, f"data.root='{quoted}'"], config_dir)


def _plan(words: Sequence[str] | None, config_dir: Path | None) -> "Plan":
    study = _study(words, config_dir)
    from usaggr.progress import RichProgress
    from usaggr.sweep.plan import make_plan

    return make_plan(study, RichProgress())


def _show_plan(plan: "Plan") -> None:
    from usaggr.sweep.present import print_plan

    print_plan(plan, _console())


def _results(directory: Path) -> Path:
    """The folder, if it holds a study's results.

    Raises:
        ConfigError: it does not; the message lists those in the folder beside it.
    """
    if (directory / "study.yaml").is_file():
        return directory
    beside = directory.parent if directory.parent.is_dir() else Path("outputs")
    raise ConfigError(one_of("DIR", str(directory), (str(path.parent) for path in beside.glob("*/study.yaml"))))


def _console() -> "Console":
    """Standard output; wide where it is no terminal, so that tables are not cut in files and pipes."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)
