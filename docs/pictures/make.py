"""Makes the pictures of the docs from the reference snapshots, in light and in dark.

`uv run --group browser python docs/pictures/make.py`; needs chromium. `shown.json` holds the sha256 of each
page, by which a test says that a picture shows yesterday's page.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHOWN = HERE / "shown.json"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
PICTURES = {
    "broken": (["snapshots/broken-stub"], "#s-training"),
    "half-mended": (["snapshots/padded-lora"], "#s-what-the-model-says"),
    "fixed": (["snapshots/fixed"], "#s-declared-and-observed"),
    "two-runs": (["snapshots/broken-stub", "snapshots/fixed"], "#s-where-they-differ"),
}
"""Picture to what is reported on, and the first element of the page that is no longer shown."""


def page_of(refs: list[str], directory: Path) -> Path:
    """The report on some refs."""
    page = directory / "report.html"
    command = [sys.executable, "-m", "forensics", "report", *refs, "-o", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return page


def digest(page: Path) -> str:
    return hashlib.sha256(page.read_bytes()).hexdigest()


def make() -> None:
    if CHROMIUM is None:
        sys.exit("The pictures need chromium.")
    from playwright.sync_api import sync_playwright

    shown = {}
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (refs, end) in PICTURES.items():
            page = page_of(refs, Path(directory))
            shown[name] = digest(page)
            for scheme in ("light", "dark"):
                tab = browser.new_page(viewport={"width": 1080, "height": 900}, color_scheme=scheme)
                tab.goto(page.as_uri())
                below = tab.locator(end).first.bounding_box()
                assert below is not None
                clip = {"x": 0, "y": 0, "width": 1080, "height": below["y"]}
                path = HERE / f"{name}{'' if scheme == 'light' else '-dark'}.png"
                tab.screenshot(path=path, full_page=True, clip=clip)
                tab.close()
        browser.close()
    SHOWN.write_text(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    make()
