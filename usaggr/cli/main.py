"""The commands, a few lines each: what they do is in the rooms, which are imported by the command that needs them.

Exit status: 0 all done, 1 some runs failed, 2 the request is wrong (one message on standard error, no traceback).
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr import __version__
from usaggr.cli.advise_command import advise
from usaggr.cli.affinity_commands import affinity
from usaggr.cli.arguments import ConfigDir, Results, Words, output_console, study_of_data, study_of_words
from usaggr.cli.completion import complete_overrides, complete_results
from usaggr.cli.data_commands import data_app
from usaggr.cli.model_commands import export, predict
from usaggr.errors import ConfigError, UsaggrError, one_of
from usaggr.io.atomic_files import cannot_write, is_unwritable
from usaggr.results import contract
from usaggr.stopping import RunInterrupted

if TYPE_CHECKING:
    from usaggr.sweep.planning.study_plan import Plan


app = typer.Typer(
    help="Should my ultrasound tasks share one model? Sweeps over ways of grouping tasks, with evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


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
    from usaggr.sweep.inspect.status import print_status

    print_status(_results(directory), output_console(), watch=watch)


@app.command()
def clean(
    directory: Results,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List runs that the study no longer asks for and weights that were kept, then remove them."""
    from usaggr.sweep.inspect.clean import removable, remove, size

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
        typer.Argument(metavar="DIR...", help="Folders of one study's results.", autocompletion=complete_results),
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
    from usaggr.sweep.execution.foreground import choose_run, print_scores, train_run
    from usaggr.sweep.planning.study_plan import write_plan

    plan_ = _plan(words, config_dir)
    run = choose_run(plan_, block, scale, seed, variant)
    write_plan(plan_)
    print(f"training {run.directory}")
    train_run(plan_, run, RichProgress())
    print_scores(run, output_console())


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
            metavar="[OVERRIDES]...", help="Such as data.foreground_255=true.", autocompletion=complete_overrides
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
    from usaggr.challenge.challenge_scores import as_mode
    from usaggr.challenge.evaluate import evaluate as scored
    from usaggr.challenge.evaluation_files import print_evaluation, write_evaluation
    from usaggr.challenge.selection import select
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.progress import RichProgress

    chosen = as_mode(mode)
    study = study_of_data(root, overrides or [], config_dir)
    progress = RichProgress()
    dataset = load_dataset(study.data, progress)
    selection = select(dataset, split, fold, tasks.split(",") if tasks else ())
    found = scored(predictions, dataset, selection, study.data, study.metrics.nsd_tolerance, progress)
    print_evaluation(found, chosen, output_console())
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
    from usaggr.config.compose import describe_study, describe_values

    study = study_of_words(words, config_dir)
    print(describe_values(study) if sources else describe_study(study), end="")


def _plan(words: Sequence[str] | None, config_dir: Path | None) -> "Plan":
    study = study_of_words(words, config_dir)
    from usaggr.progress import RichProgress
    from usaggr.sweep.planning.study_plan import make_plan

    return make_plan(study, RichProgress())


def _show_plan(plan: "Plan") -> None:
    from usaggr.sweep.inspect.plan_console import print_plan

    print_plan(plan, output_console())


def _results(directory: Path) -> Path:
    """The folder, if it holds a study's results.

    Raises:
        ConfigError: it does not; the message lists those in the folder beside it.
    """
    if (directory / contract.STUDY).is_file():
        return directory
    beside = directory.parent if directory.parent.is_dir() else Path("outputs")
    raise ConfigError(one_of("DIR", str(directory), (str(path.parent) for path in beside.glob(f"*/{contract.STUDY}"))))
