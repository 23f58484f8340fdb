"""docs/reliability.md: each fault has a test, which is there under the name that the page gives."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [line for line in PAGE.partition("## Soak")[0].splitlines() if line.startswith("| ")]


def test_every_fault_names_a_test_that_exists() -> None:
    faults = [row for row in ROWS if not row.startswith("| failure ")]
    assert len(faults) > 30
    for row in faults:
        cells = row.strip("| ").split(" | ")
        assert len(cells) == 5, row
        assert all(cells), row
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", cells[-1])
        assert named is not None, row
        source = (ROOT / named[1]).read_text()
        assert f"\ndef {named[2]}(" in source, row


def test_the_page_is_linked_and_has_its_place_for_the_soak() -> None:
    assert "(docs/reliability.md)" in (ROOT / "README.md").read_text()
    assert PAGE.index("<!-- soak: begin -->") < PAGE.index("<!-- soak: end -->")
