"""The page of a check is complete in one file, and does not execute anything from the data."""

import re
from html.parser import HTMLParser
from pathlib import Path

from tests.data.check.test_near_duplicates import copies, speckle
from tests.data.factories import change_cell, data_config, tiny_data, write_image
from usaggr.data.check.check_page import write_page
from usaggr.data.check.deep_check import examine_dataset
from usaggr.data.read.load_dataset import check_dataset
from usaggr.progress import NoProgress


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_shows_everything_and_loads_nothing(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    for number, line in enumerate((2, 8)):
        write_image(root / "cls" / f"twin{number}.png", copies(speckle(1))["marked"] if number else speckle(1))
        change_cell(root, "cls.csv", line, "image_path", f"../cls/twin{number}.png")
    text = (root / "csv_files" / "cls.csv").read_text().splitlines()
    split_column = ["split", *(["train"] * 6), *(["test"] * 6)]
    (root / "csv_files" / "cls.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(text, split_column, strict=True)))
    change_cell(root, "det.csv", 3, "x_min", "<script>alert(1)</script>")
    data = data_config(root, tmp_path / "cache", on_bad_sample="skip")
    dataset, faults = check_dataset(data)
    assert dataset is not None
    write_page(
        dataset, faults, examine_dataset(dataset, data, NoProgress()), data, tmp_path / "check.html", NoProgress()
    )
    written = (tmp_path / "check.html").read_text()
    page = Page(written)
    assert page.tags.count("script") == 1, "only the page's script, which its policy names by hash"
    assert "&lt;script&gt;alert(1)" in written
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "47 valid samples of 4 tasks" in re.sub(r"\s+", " ", written)
    assert "1 pair of near-identical images in different subsets" in written
    assert written.count("cls/twin") >= 4, "both pictures, with their names"
    assert page.tags.count("img") == 2 + 4 + 1 + count_outlier_pictures(written)


def count_outlier_pictures(written: str) -> int:
    """Count the pictures of the section with outliers."""
    return written.partition('id="outliers"')[2].partition('id="labels"')[0].count("<img")
