"""Where Chromium is: the variable CHROMIUM, then the PATH, then what playwright has installed for itself.

Run as a script it prints the path, or says on stderr that there is none and leaves with status 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "google-chrome", "chromium-browser")

FLAGS = (
    "--no-sandbox",  # the sandbox doesn't start for root
    "--disable-dev-shm-usage",  # /dev/shm of a container is often 64 MB
    "--disable-gpu",
    "--force-color-profile=srgb",
)
"""Arguments with which Chromium runs headless as root and in containers."""

NOT_FOUND = (
    "NO BROWSER TEST CAN RUN: no Chromium works here. Looked at the variable CHROMIUM, at "
    f"{', '.join(NAMES)} on the PATH and at playwright's own; "
    "'make chromium' installs one, or set CHROMIUM to the path of one."
)


def find_chromium() -> str | None:
    """The path of a Chromium that starts, or None.

    A program that only tells how to install Chromium, as Ubuntu's ``chromium-browser`` does without snap, is passed
    over. Where CHROMIUM is set nothing else is looked at.
    """
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else [*(shutil.which(name) for name in NAMES), _of_playwright()]
    return next((path for path in candidates if path and _starts(path)), None)


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _starts(path: str) -> bool:
    try:
        done = subprocess.run([path, "--version", "--no-sandbox"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Chrom" in done.stdout


if __name__ == "__main__":
    found = find_chromium()
    print(found) if found else print(NOT_FOUND, file=sys.stderr)
    sys.exit(0 if found else 1)
