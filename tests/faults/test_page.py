"""docs/reliability.md quotes existing tests for each kind of error."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
TABLE_LINES = [line for line in PAGE.partition("## Soak")[0].splitlines() if line.startswith("| ")]


def test_every_error_names_tests_that_exist() -> None:
    errors = [row for row in TABLE_LINES if not row.startswith("| failure ")]
    assert len(errors) > 30
    for row in errors:
        cells = row.strip("| ").split(" | ")
        assert len(cells) == 4, row
        assert all(cells), row
        for test in cells[-1].split(" "):
            named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
            assert named is not None, row
            source = (ROOT / named[1]).read_text()
            assert f"\ndef {named[2]}(" in source, row


def test_the_page_is_linked_and_has_a_section_for_the_soak_test() -> None:
    assert "(docs/reliability.md)" in (ROOT / "README.md").read_text()
    assert PAGE.index("<!-- soak: begin -->") < PAGE.index("<!-- soak: end -->")
