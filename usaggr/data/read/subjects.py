"""The subject of each row, from the index or from the file's name."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from usaggr.data.read.index import IndexRow
from usaggr.data.read.subject_names import make_similarity_key, normalize_subject, quote_name
from usaggr.data.samples import Sample

MAX_LISTED = 10
"""Largest number of subjects that a warning lists; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a row."""

    name: str
    """Normalized name; the image's hash if the subject is unknown."""
    written: str
    """Name as written in the index or in the file's name; empty if the subject is unknown."""


@dataclass
class SubjectFinder:
    """Finds the subject of each row, and counts the rows that should have a subject but have none.

    The same name in two tasks is the same subject.
    """

    patterns: dict[str, str]
    """Regular expression by task; its first group (or the complete match) in an image's file name is the subject."""
    searched: Counter[str] = field(default_factory=Counter)
    """Number of rows whose file name was searched, by task."""
    unmatched: Counter[str] = field(default_factory=Counter)
    """Number of searched rows without a subject in the file name, by task."""
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of rows with a mark of a missing value in the column subject_id, by mark and index file."""

    def find(self, row: IndexRow, image_hash: str) -> Subject:
        """Return the subject of a row; an unknown subject has the image's hash as its name."""
        written = row.text("subject_id")
        name = normalize_subject(written)
        if name:
            return Subject(name, written)
        if written:
            self.missing[written, row.csv_file] += 1
        task_id = row.text("task_id")
        pattern = self.patterns.get(task_id)
        if pattern is None:
            return Subject(image_hash, "")
        self.searched[task_id] += 1
        path = row.text("image_path").removeprefix("../")
        # With a folder for each patient, only the path names the patient. Other patterns could match any folder.
        match = re.search(pattern, path if "/" in pattern else path.rsplit("/", 1)[-1])
        written = ""
        if match:
            # The first group is None if it is optional and did not take part in the match.
            written = (match[1] if match.re.groups else match[0]) or ""
        name = normalize_subject(written)
        if not name:
            self.unmatched[task_id] += 1
            return Subject(image_hash, "")
        return Subject(name, written)

    def list_warnings(self, samples: Sequence[Sample]) -> list[str]:
        """Return the warnings about the subjects of a data set, for the user."""
        return [
            *_warn_missing(self.missing),
            *_warn_merged(samples),
            *_warn_similar(samples),
            *(
                f"task {task_id}: data.subject_patterns finds no subject in the names of {count} of "
                f"{self.searched[task_id]} images; each of these images counts as its own subject"
                for task_id, count in sorted(self.unmatched.items())
            ),
        ]


def keep_single_spellings(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with the name as written, instead of the normalized one, for subjects with a single spelling.

    Fingerprints contain the names of subjects, and earlier versions did not normalize them. Results of these versions
    therefore stay valid if normalization merges no subjects.
    """
    spellings: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        spellings[sample.subject_id].add(sample.subject_written)
    restored: list[Sample] = []
    for sample in samples:
        is_normalized = sample.subject_written not in ("", sample.subject_id)
        if is_normalized and len(spellings[sample.subject_id]) == 1:
            restored.append(replace(sample, subject_id=sample.subject_written))
        else:
            restored.append(sample)
    return restored


def _warn_missing(missing: Mapping[tuple[str, str], int]) -> list[str]:
    """Return a warning about texts that are read as missing values, in a list that is empty if there are none."""
    if not missing:
        return []
    marks = [f"{quote_name(mark)} in {_count_rows(count)} of {file}" for (mark, file), count in sorted(missing.items())]
    return [f"subject_id: these texts are read as missing values, not as subjects: {_list_entries(marks)}"]


def _warn_merged(samples: Iterable[Sample]) -> list[str]:
    """Return a warning about subjects with several spellings, which are merged into one."""
    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for sample in samples:
        if sample.subject_written:
            counts[sample.subject_id][sample.subject_written, sample.csv_file] += 1
    merged = {name: count for name, count in counts.items() if len({written for written, _ in count}) > 1}
    if not merged:
        return []
    subjects: list[str] = []
    for _, spellings in sorted(merged.items()):
        entries = [f"{quote_name(name)} ({_count_rows(n)} of {file})" for (name, file), n in sorted(spellings.items())]
        subjects.append(" and ".join(entries))
    number = f"{len(merged)} subject{'s are' if len(merged) > 1 else ' is'}"
    return [f"subject_id: {number} written in several ways, and counted once: {_list_entries(subjects)}"]


def _warn_similar(samples: Iterable[Sample]) -> list[str]:
    """Return a warning about subjects that differ only in letter case or leading zeros: they may be one patient."""
    files: dict[str, str] = {}
    for sample in samples:
        if sample.subject_written:
            files.setdefault(sample.subject_id, sample.csv_file)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        groups[make_similarity_key(normalize_subject(name))].append(name)
    pairs = [
        " and ".join(f"{quote_name(name)} ({files[name]})" for name in names)
        for names in groups.values()
        if len(names) > 1
    ]
    if not pairs:
        return []
    return [
        "subject_id: names that differ only in letter case or leading zeros are different subjects; if they are one "
        f"patient, write them in the same way: {_list_entries(pairs)}"
    ]


def _list_entries(entries: Sequence[str]) -> str:
    more = f"; and {len(entries) - MAX_LISTED} more" if len(entries) > MAX_LISTED else ""
    return "; ".join(entries[:MAX_LISTED]) + more


def _count_rows(count: int) -> str:
    return f"{count} row{'s' if count != 1 else ''}"
