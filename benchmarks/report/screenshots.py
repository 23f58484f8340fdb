"""Draw the pictures of the README from the report of the demo: `python -m benchmarks.report.screenshots REPORT`.

REPORT is the folder of the report, such as outputs/demo/report. The system's Chromium shows its page in a window of
1200 pixels width.
"""

import argparse
import shutil
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 1200
"""Width of the window in pixels; narrower windows hide the contents on the left."""
PICTURES = {"report_answer.png": "all-training-samples", "report_differences.png": "scores-and-differences"}
"""Section of the page that each picture shows, up to HEIGHT."""
HEIGHT = 1000
"""Height of the window in pixels, and so the largest height of a picture."""


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the README from the report of the demo.")
    parser.add_argument("report", type=Path, help="folder that contains index.html")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args()
    draw_pictures(options.report, options.images)


def draw_pictures(report: Path, images: Path) -> None:
    """Write the pictures of a report to a folder.

    Raises:
        FileNotFoundError: if Chromium is not installed.
    """
    from playwright.sync_api import FloatRect, sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("chromium is not installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, section in PICTURES.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto((report.absolute() / "index.html").as_uri() + f"#{section}")
            box = page.locator(f"section#{section}").bounding_box()
            assert box is not None  # the section is visible
            height = min(box["height"], HEIGHT - box["y"])
            clip: FloatRect = {"x": box["x"], "y": box["y"], "width": box["width"], "height": height}
            page.screenshot(path=images / name, clip=clip, timeout=120_000)
        browser.close()


if __name__ == "__main__":
    main()
