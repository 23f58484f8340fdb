"""How to get the same numbers again: commands, files, versions of what the runs were made with."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from usaggr.document.display_names import plural
from usaggr.document.elements import Block, Details, Items, Paragraph, Section, TextTable, literal
from usaggr.report.material import Material, paragraph, section
from usaggr.results.run_settings import read_provenance


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
        known = read_provenance(path)
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
            yield run.path
