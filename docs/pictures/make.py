"""Makes the pictures of the docs from the reference snapshots.

uv run --group browser python docs/pictures/make.py     needs chromium
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
PICTURES = {
    "broken": (["snapshots/broken-stub"], "#s-what-changed"),
    "half-mended": (["snapshots/padded-lora"], "#s-what-the-model-says"),
    "fixed": (["snapshots/fixed"], "#s-declared-and-observed"),
    "two-runs": (["snapshots/broken-stub", "snapshots/fixed"], "#s-where-they-differ"),
}
"""Picture to what is reported on, and the first element of the page that is no longer shown."""


def make() -> None:
    if CHROMIUM is None:
        sys.exit("The pictures need chromium.")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (refs, end) in PICTURES.items():
            page = Path(directory) / f"{name}.html"
            subprocess.run([sys.executable, "-m", "forensics", "report", *refs, "-o", str(page)], check=True)
            tab = browser.new_page(viewport={"width": 1080, "height": 900})
            tab.goto(page.as_uri())
            below = tab.locator(end).first.bounding_box()
            assert below is not None
            shown = {"x": 0, "y": 0, "width": 1080, "height": below["y"]}
            tab.screenshot(path=HERE / f"{name}.png", full_page=True, clip=shown)
        browser.close()


if __name__ == "__main__":
    make()
