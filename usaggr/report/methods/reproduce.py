"""How to get the same numbers again: commands, files, versions of what the runs were made with."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from usaggr.document.display_names import plural
from usaggr.document.elements import Block, Details, Items, Paragraph, Section, TextTable, literal
from usaggr.report.material import Material, paragraph, section

_TAIL = 8192
"""Bytes at the end of a run.yaml: its packages and its machine stand after the long list of training samples."""


def write_reproduction(material: Material) -> Section | None:
    """Commands, files and versions."""
    name = literal(material.study.name)
    data = material.collection.data
    steps = Items(
        (
            "`study.yaml` in the folder of results is the whole configuration, as composed; `usaggr sweep` with the "
            "same study and overrides trains what is missing, and nothing twice.",
            "`split.csv` has every sample's fold and rank. Runs are known by a fingerprint of all that can change "
            f"their numbers; that of the data's content is `{data.content_hash[:12]}`, of the split "
            f"`{data.split_hash[:12]}`.",
            "`usaggr report DIR` rebuilds this report from the stored runs alone; the same runs make the same report, "
            "byte for byte.",
            "`tables/scores.csv` has every score of every run, `tables/comparison.csv` every difference in every "
            "metric, `tables/summary.csv` each grouping over all tasks, `tables/*.tex` the tables of this report.",
        )
    )
    return section("How to reproduce", paragraph(f"Study {name}."), steps, *_versions(material))


def _versions(material: Material) -> tuple[Block, ...]:
    """What the finished runs were made with, where their run.yaml says so."""
    found: dict[str, Counter[str]] = {}
    runs = 0
    for path in _finished(material):
        known = _provenance(path)
        runs += bool(known)
        for name, version in known.items():
            found.setdefault(name, Counter())[version] += 1
    if not found:
        return ()
    rows = [(name, _versions_of(counts, runs)) for name, counts in found.items()]
    several = any(len(counts) > 1 for counts in found.values())
    head = (
        f"Versions, over {plural(runs, 'finished run')}: "
        + ("not all of one kind" if several else "all the same")
        + "."
    )
    return (Paragraph(head), Details("Versions", (TextTable(("package or setting", "version"), tuple(rows)),)))


def _versions_of(counts: "Counter[str]", runs: int) -> str:
    if len(counts) == 1 and counts.total() == runs:
        return next(iter(counts))
    return ", ".join(f"{version} ({plural(number, 'run')})" for version, number in sorted(counts.items()))


def _finished(material: Material) -> Iterator[Path]:
    for run in material.collection.runs:
        if run.state == "done" and run.path is not None:
            yield run.path / "run.yaml"


def _provenance(path: Path) -> dict[str, str]:
    """Packages, Python, platform, device and commit from the end of a run.yaml; empty where nothing can be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            tail = file.read().decode("utf-8", "replace")
        start = tail.index("\npackages:")
        content: Any = yaml.safe_load(tail[start:])
        packages = content["packages"]
        known = {str(name): str(version) for name, version in packages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}
    for name in ("python", "platform", "device", "git_commit"):
        if content.get(name) is not None:
            known[name.replace("git_commit", "commit of usaggr")] = str(content[name])
    return known
