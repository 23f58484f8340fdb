"""Section on reproduction: commands, files, and versions of the software that trained the runs."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from usaggr.document.display_names import pluralize
from usaggr.document.elements import Block, Details, Items, Paragraph, Section, TextTable, escape_markdown
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.results.run_settings import read_provenance


def write_reproduction(material: Material) -> Section | None:
    """Write the section on commands, files and versions that reproduce the numbers."""
    name = escape_markdown(material.study.name)
    data = material.collection.data
    steps = Items(
        (
            "`study.yaml` in the results folder contains the complete configuration. `usaggr sweep` with the same "
            "study and overrides trains only the missing runs.",
            "`split.csv` contains the subset and rank of every sample. Each run is identified by a fingerprint of "
            "everything that can change its numbers. The hash of the data's content is "
            f"`{data.content_hash[:12]}`, and the hash of the split `{data.split_hash[:12]}`.",
            "`usaggr report DIR` rebuilds this report from the stored runs; the same runs give the same report, byte "
            "for byte.",
            "`tables/scores.csv` contains every score of every run, `tables/comparison.csv` every difference in every "
            "metric, `tables/summary.csv` the results of each grouping over all tasks, and `tables/*.tex` the tables "
            "of this report in LaTeX.",
        )
    )
    return make_section("How to reproduce", make_paragraph(f"Study {name}."), steps, *_tabulate_versions(material))


def _tabulate_versions(material: Material) -> tuple[Block, ...]:
    """Return the versions of packages and settings that the run.yaml of finished runs records."""
    versions: dict[str, Counter[str]] = {}
    runs = 0
    for path in _find_finished(material):
        provenance = read_provenance(path)
        # Runs of older versions recorded no versions, and must not count as different ones.
        runs += bool(provenance)
        for name, version in provenance.items():
            versions.setdefault(name, Counter())[version] += 1
    if not versions:
        return ()
    lines = [(name, _list_versions(counts, runs)) for name, counts in versions.items()]
    is_mixed = any(len(counts) > 1 for counts in versions.values())
    summary = (
        "The finished runs were trained with different versions"
        if is_mixed
        else f"All versions are the same for {pluralize(runs, 'finished run')}"
    )
    table = TextTable(("package or setting", "version"), tuple(lines))
    return (Paragraph(f"{summary}."), Details("Versions", (table,)))


def _list_versions(counts: "Counter[str]", runs: int) -> str:
    if len(counts) == 1 and counts.total() == runs:
        return next(iter(counts))
    return ", ".join(f"{version} ({pluralize(number, 'run')})" for version, number in sorted(counts.items()))


def _find_finished(material: Material) -> Iterator[Path]:
    for run in material.collection.runs:
        if run.state == "done" and run.path is not None:
            yield run.path
