"""The commands of `usaggr`. Each imports the rooms that it needs, so that `--help` and `status` answer at once.

Exit status: 0 all done, 1 some runs failed or are left, 2 the request is invalid (one message on standard error, no
traceback).

The docstring of a command is the text of its `--help`. Each option is described by `help=`, not in an `Args:` section.
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
from usaggr.cli.arguments import (
    Command,
    ConfigDir,
    DataRoot,
    Fold,
    Group,
    Results,
    Split,
    Tasks,
    Words,
    compose_from_data,
    compose_from_words,
    find_results,
    make_console,
    print_notes,
    read_report_settings,
)
from usaggr.cli.completion import complete_overrides, complete_results
from usaggr.cli.data_commands import data_app
from usaggr.cli.doctor_command import doctor
from usaggr.cli.model_commands import export, predict
from usaggr.cli.standard_streams import prepare_streams, use_utf8
from usaggr.errors import ConfigError, UsaggrError
from usaggr.io.atomic_files import is_disk_error, make_write_error
from usaggr.io.system_limits import explain_system_limit, raise_file_limit
from usaggr.io.terminal_text import escape_output
from usaggr.safe_path import SafeSearch
from usaggr.stopping import RunInterrupted

if TYPE_CHECKING:
    from usaggr.sweep.planning.study_plan import Plan


app = typer.Typer(
    cls=Group,
    help="Should my ultrasound tasks share one model? Train them in several groupings and compare the scores.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Define the options of `usaggr` itself."""


def main() -> None:
    """Run the command line and exit with its status."""
    # The first statement, because it may start the command again.
    use_utf8()
    prepare_streams()
    with escape_output():
        _run()


def _run() -> None:
    try:
        _check_limits()
        with SafeSearch():
            app()
    except UsaggrError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except RunInterrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)  # as a shell reports a command that Ctrl-C ended: 128 + SIGINT
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        # A disk that cannot be used, or a limit of the system, is no defect of usaggr; others keep their traceback.
        message = explain_system_limit(error)
        if message is None and isinstance(error, OSError) and is_disk_error(error):
            message = str(make_write_error(Path(error.filename or "."), error))
        if message is None:
            raise
        print(message, file=sys.stderr)
        sys.exit(2)


def _check_limits() -> None:
    """Raise the limit of open files as far as possible.

    Raises:
        ConfigError: It stays too low for a sweep.
    """
    message = raise_file_limit()
    if message is not None:
        raise ConfigError(message)


@app.command(cls=Command)
def sweep(
    words: Words = None,
    config_dir: ConfigDir = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed runs again.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first run that fails.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Train at most N runs.", metavar="N")] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Then train finished runs without weights again, to keep only these.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be done.")] = False,
) -> None:
    """Train the runs that are not finished yet, and write the report."""
    if weights and limit is not None:
        raise ConfigError("--weights trains every finished run without weights; leave --limit out")
    started = time.monotonic()
    study_plan = _make_plan(words, config_dir)
    planning_seconds = time.monotonic() - started
    if dry_run:
        from usaggr.sweep.inspect.dry_run import describe_dry_run

        _show_plan(study_plan, words)
        print(describe_dry_run(study_plan, retry_failed, limit))
        return
    # Imported only now: a dry run needs neither the report nor an executor.
    from usaggr.report.build import refresh_report
    from usaggr.sweep.retraining import check_request, retrain_for_weights
    from usaggr.sweep.sweep import run_sweep

    decision = check_request(study_plan) if weights else None
    for line in _describe_choices(study_plan, words):
        print(line, file=sys.stderr)
    outcome = run_sweep(
        study_plan,
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        limit=limit,
        build_report=refresh_report,
        planning_seconds=planning_seconds,
    )
    exit_status = outcome.exit_status
    if decision is not None and not outcome.interrupted and not outcome.unwritable:
        exit_status = retrain_for_weights(study_plan, decision).exit_status or exit_status
    raise typer.Exit(exit_status)


@app.command(cls=Command)
def plan(words: Words = None, config_dir: ConfigDir = None) -> None:
    """List every run with its state, and estimate what the sweep needs and what it can detect."""
    _show_plan(_make_plan(words, config_dir), words)


@app.command(cls=Command)
def status(
    directory: Results,
    watch: Annotated[bool, typer.Option("--watch", help="Update until every run is done or failed.")] = False,
) -> None:
    """Count runs by state, and list failures with their reasons.

    States: done, running, queued (Slurm), failed, stale (interrupted), pending (not started), unplanned (no longer in
    the study).
    """
    from usaggr.sweep.inspect.status import print_status

    print_status(find_results(directory), make_console(), watch=watch)


@app.command(cls=Command)
def clean(
    directory: Results,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also remove the weights of finished runs, except those yet needed.")
    ] = False,
) -> None:
    """List, and remove after a question, what is no longer needed.

    These are runs that are no longer in the study (with their weights), leftover temporary files, and weights if the
    study has training.keep_weights=none. Weights from which an unfinished run starts always stay.
    """
    from usaggr.sweep.inspect.clean import describe_kept_weights, format_size, list_removable, remove

    results = find_results(directory)
    items = list_removable(results, weights)
    for item in items:
        print(item)
    for line in describe_kept_weights(results, items):
        print(line)
    if not items:
        print("nothing to remove")
    elif not yes and not sys.stdin.isatty():  # nobody can answer, as in a job of a cluster
        print("nothing was removed; use --yes to remove without a question")
    elif yes or typer.confirm(f"Remove {format_size(sum(item.bytes for item in items))}?"):
        print(f"{format_size(remove(items))} freed")


@app.command(cls=Command)
def report(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [OVERRIDES]...",
            help="Folders of one study's results, and settings of the report such as report.margin=0.05.",
            autocompletion=complete_results,
        ),
    ],
) -> None:
    """Rebuild the report from the finished runs; several folders of one study with the same split are joined."""
    from usaggr.report.build import build_report

    # The name of a folder may contain "=", so a folder is recognized before an override.
    directories = [find_results(Path(word)) for word in words if "=" not in word or Path(word).is_dir()]
    settings = read_report_settings([word for word in words if "=" in word and not Path(word).is_dir()])
    if not directories:
        raise ConfigError("DIR: give a folder of results, such as outputs/demo, before the overrides")
    print(build_report(directories, settings=settings))


@app.command(cls=Command)
def train(
    words: Words = None,
    config_dir: ConfigDir = None,
    block: Annotated[
        str | None, typer.Option(help="Block to train: a task id, unified, or its name in a grouping.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Scale to train: a fraction, or a maximum number of samples per task.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed to train.")] = None,
    variant: Annotated[str | None, typer.Option(help="Variant to train.")] = None,
) -> None:
    """Train one run in the foreground, for debugging: the first unfinished run that matches the options."""
    from usaggr.progress import RichProgress
    from usaggr.sweep.execution.foreground import choose_run, print_scores, train_run
    from usaggr.sweep.planning.study_plan import write_plan

    study_plan = _make_plan(words, config_dir)
    run = choose_run(study_plan, block, scale, seed, variant)
    # As `sweep` does, so that `status` and `report` know the run.
    write_plan(study_plan)
    print(f"training {run.directory}")
    train_run(study_plan, run, RichProgress())
    print_scores(run, make_console())


app.command(cls=Command)(doctor)
app.command(cls=Command)(advise)
app.command(cls=Command)(affinity)
app.command(cls=Command)(predict)
app.command(cls=Command)(export)


@app.command(cls=Command)
def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder in the challenge's layout.")],
    root: DataRoot,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OVERRIDES]...", help="Such as data.foreground_255=true.", autocompletion=complete_overrides
        ),
    ] = None,
    split: Split = None,
    fold: Fold = None,
    tasks: Tasks = None,
    mode: Annotated[
        str, typer.Option(help="challenge: the official metrics; strict: corrected metrics, as in a study.")
    ] = "strict",
    config_dir: ConfigDir = None,
) -> None:
    """Score predictions in the FM_UIA layout, and list their errors.

    Writes evaluation.json and evaluation.md beside them. Exit status 1: some samples have no usable prediction.
    """
    from usaggr.challenge.challenge_scores import parse_mode
    from usaggr.challenge.evaluate import evaluate as score_predictions
    from usaggr.challenge.evaluation_files import print_evaluation, write_evaluation
    from usaggr.challenge.selection import select
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.progress import RichProgress

    metrics = parse_mode(mode)
    study = compose_from_data(root, overrides or [], config_dir)
    progress = RichProgress()
    dataset = load_dataset(study.data, progress)
    selection = select(dataset, split, fold, tasks.split(",") if tasks else ())
    evaluation = score_predictions(predictions, dataset, selection, study.data, study.metrics.nsd_tolerance, progress)
    print_evaluation(evaluation, metrics, make_console())
    for path in write_evaluation(evaluation, metrics):
        print(path)
    raise typer.Exit(0 if evaluation.complete else 1)


@app.command(cls=Command)
def config(
    words: Words = None,
    config_dir: ConfigDir = None,
    sources: Annotated[bool, typer.Option("--sources", help="Show the file that each value comes from.")] = False,
) -> None:
    """Print the composed configuration."""
    from usaggr.config.compose import describe_study, describe_values

    study = compose_from_words(words, config_dir)
    print(describe_values(study) if sources else describe_study(study), end="")


def _make_plan(words: Sequence[str] | None, config_dir: Path | None) -> "Plan":
    study = compose_from_words(words, config_dir)
    # After the composition, so that a mistake in it is reported before the slow imports.
    from usaggr.progress import RichProgress
    from usaggr.sweep.planning.study_plan import make_plan

    study_plan = make_plan(study, RichProgress())
    print_notes(study_plan.study, study_plan.describe_tasks())
    return study_plan


def _describe_choices(plan: "Plan", words: Sequence[str] | None) -> list[str]:
    """Return the lines about keys that the data decided, and about a study that has nothing to compare."""
    from usaggr.sweep.planning.single_task import explain_single_task

    return [*plan.proposals, *filter(None, [explain_single_task(plan, words or ())])]


def _show_plan(plan: "Plan", words: Sequence[str] | None) -> None:
    from usaggr.sweep.inspect.plan_console import print_plan
    from usaggr.sweep.inspect.planned_networks import check_planned_networks
    from usaggr.sweep.kept_weights import decide_kept_weights
    from usaggr.tracking.record import check_tracker

    if any(run.read_state() != "done" for run in plan.runs):  # a finished study needs no tracker
        check_tracker(plan.study)
    kept_weights = decide_kept_weights(plan, check_planned_networks(plan))
    for line in _describe_choices(plan, words):
        print(line)
    print_plan(plan, make_console(), kept_weights)
