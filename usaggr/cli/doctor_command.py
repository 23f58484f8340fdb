"""The command that describes this installation and machine, to paste into a bug report."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from usaggr.cli.arguments import ConfigDir, Words, compose_from_words, split_words
from usaggr.cli.doctor_findings import Finding
from usaggr.document.display_names import pluralize
from usaggr.errors import UsaggrError
from usaggr.io.terminal_text import escape_line

if TYPE_CHECKING:
    from usaggr.config.study import StudyConfig

_WIDTH = 10
"""Width of the column with the topics, in characters."""


def doctor(words: Words = None, config_dir: ConfigDir = None) -> None:
    """Describe this installation and machine, and list what may prevent a sweep; paste the output into a bug report.

    Shows versions, device, threads, limits, folders, and whether the study's tracker and cluster can be reached.
    Nothing is trained or written. Keys, passwords and the user's name are not shown. Exit status 1: there are warnings.
    """
    from usaggr.tracking.record import remove_passwords

    findings = collect_findings(words, config_dir)
    for finding in findings:
        print(escape_line(remove_passwords(hide_user_name(f"{finding.topic:{_WIDTH}} {finding.text}"))))
    warnings = [finding for finding in findings if finding.warning]
    print(f"\n{pluralize(len(warnings), 'warning')}" if warnings else "\nno warnings")
    for finding in warnings:
        print(escape_line(remove_passwords(hide_user_name(f"{finding.topic:{_WIDTH}} {finding.warning}"))))
    raise typer.Exit(1 if warnings else 0)


def collect_findings(words: list[str] | None, config_dir: Path | None) -> list[Finding]:
    """Return all findings, in the order in which they are printed; without a valid study, those of the machine.

    Args:
        words: Name of a study and overrides. Default: demo.
        config_dir: Folder searched before `./conf` and `./sweeps`.
    """
    from usaggr.cli.doctor_folders import describe_folders
    from usaggr.cli.doctor_machine import describe_machine
    from usaggr.cli.doctor_reachability import describe_cluster, describe_tracker

    study: StudyConfig | None = None
    try:
        study = compose_from_words(words, config_dir)
        composed = Finding("study", " ".join([study.name, *split_words(words or [])[1]]))
    except UsaggrError as error:
        composed = Finding("study", "cannot be composed", "; ".join(str(error).splitlines()))
    findings = [composed, *describe_machine(study), *describe_folders(study)]
    if study is not None:
        findings += [*describe_tracker(study), *describe_cluster(study)]
    return findings


def hide_user_name(text: str) -> str:
    """Return a text in which ~ stands for the home folder, and USER for the user's name in other paths."""
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 - returns "~" for a user without a home folder
    if home not in ("", "~"):
        text = re.sub(rf"{re.escape(home)}(?=[/\s:,;]|$)", "~", text)
    for name in _list_user_names(home):
        text = re.sub(rf"(?<=/){re.escape(name)}(?=[/\s:,;]|$)", "USER", text)
    return text


def _list_user_names(home: str) -> Iterable[str]:
    names = {os.environ.get("USER", ""), os.environ.get("LOGNAME", ""), Path(home).name}
    return sorted(names - {"", "~", "root"})
