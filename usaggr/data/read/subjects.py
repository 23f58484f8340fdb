"""The subject of each row, from the index or from the file's name."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from usaggr.data.read.index import IndexRow
from usaggr.data.read.similar_names import compose_name
from usaggr.data.read.spellings import WrittenName, warn_merged, warn_missing, warn_similar
from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.read.task_ids import find_setting
from usaggr.data.samples import Sample


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
        written = row.get_text("subject_id")
        name = normalize_subject(written)
        if name:
            return Subject(name, written)
        if written:
            self.missing[written, row.csv_file] += 1
        task_id = row.get_text("task_id")
        pattern = find_setting(self.patterns, task_id)
        if pattern is None:
            return Subject(image_hash, "")
        self.searched[task_id] += 1
        path = row.get_text("image_path").removeprefix("../")
        # With a folder for each patient, only the path names the patient. Other patterns could match any folder.
        name_or_path = path if "/" in pattern else path.rsplit("/", 1)[-1]
        # A pattern with an accent may be written in another Unicode form than the name.
        match = re.search(pattern, name_or_path) or re.search(compose_name(pattern), compose_name(name_or_path))
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
            *warn_missing("subject_id", "subjects", self.missing),
            *_warn_spellings(samples),
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


def _warn_spellings(samples: Iterable[Sample]) -> list[str]:
    """Return warnings about subjects with several spellings, and about subjects with similar names."""
    counts: dict[str, Counter[WrittenName]] = defaultdict(Counter)
    sources: dict[str, str] = {}
    for sample in samples:
        if sample.subject_written:
            counts[sample.subject_id][sample.subject_written, sample.csv_file] += 1
            sources.setdefault(sample.subject_id, sample.csv_file)
    return [*warn_merged("subject_id", "subjects", counts), *warn_similar("subject_id", "subjects", sources)]
