"""Whose image it is: the subject of a row, from the index, from the file's name, or from nobody."""

import re
from collections import Counter
from dataclasses import dataclass, field

from usaggr.data.index import IndexRow


@dataclass
class Subjects:
    """Finds subjects, and counts the rows whose file name should tell one and does not.

    Subjects are the same over all tasks: a patient of one task is the same patient in another.
    """

    patterns: dict[str, str]
    """Task: regular expression on the file's name; its first group, else the whole match, is the subject."""
    rows: Counter[str] = field(default_factory=Counter)
    """Task: rows whose name was asked."""
    unmatched: Counter[str] = field(default_factory=Counter)
    """Task: those of them that did not tell."""

    def of(self, row: IndexRow, image_hash: str) -> str:
        """The subject; the image's hash stands for it where nobody knows."""
        given = row.text("subject_id")
        if given:
            return given
        task_id = row.text("task_id")
        pattern = self.patterns.get(task_id)
        if pattern is None:
            return image_hash
        self.rows[task_id] += 1
        name = row.text("image_path").rsplit("/", 1)[-1]
        match = re.search(pattern, name)
        subject = match and (match[1] if match.re.groups else match[0])
        if not subject:
            self.unmatched[task_id] += 1
        return subject or image_hash

    def warnings(self) -> list[str]:
        """One line a task whose pattern missed some file names."""
        return [
            f"task {task_id}: data.subject_patterns finds no subject in the names of {missed} of "
            f"{self.rows[task_id]} images; each of them counts as a subject of its own"
            for task_id, missed in sorted(self.unmatched.items())
        ]
