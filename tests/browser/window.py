"""A real browser with a page in it: Debian's chromium, driven by its own driver; no network but the loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")
WIDE, NARROW = 1280, 390
"""Widths of a window: a laptop's, a telephone's."""
HEIGHT = 900

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever a page asks elsewhere fails, and is seen
)

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)


class Window:
    """A browser window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def show(self, address: str, width: int, *, dark: bool = False, height: int = HEIGHT) -> None:
        """Open a page in a window of a width, light or dark as a person's system may ask for."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get_log("browser")  # what earlier pages said
        self.driver.get(address)

    def problems(self, ignore: str = "") -> list[str]:
        """Return what is wrong with the page as it is drawn, and what the browser's console says.

        ``ignore``: selector of elements that may overflow.
        """
        console = [f"console: {each['message']}" for each in self.driver.get_log("browser") if each["level"] != "INFO"]
        return [*console, *self.driver.execute_script(LOOK, ignore)]

    def ask(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        return self.driver.execute_script(f"return {expression}")

    def picture(self, file: Path, *, whole: bool = True) -> bytes:
        """Save a picture of the page, all of it or what the window shows; return it as PNG."""
        import base64

        words: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            words["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        png = base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", words)["data"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png)
        return png


def size_of(png: bytes) -> tuple[int, int]:
    """Return (width, height) of a PNG, from its header."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


@contextmanager
def browser(profile: Path) -> Iterator[Window]:
    """Run a browser with a profile of its own, which lies in ``profile``."""
    options = Options()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(60)
        yield Window(driver)
    finally:
        driver.quit()
