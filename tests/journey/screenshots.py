"""Visible faults of a page: serious findings of axe and horizontal scrolling; screenshots."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PICTURES = os.environ.get("SCREENSHOTS", "")
_AXE = Axe()
_EVERYTHING = {"resultTypes": ["violations"]}
# Only colors depend on the theme.
_COLOURS = {**_EVERYTHING, "runOnly": {"type": "rule", "values": ["color-contrast"]}}
Theme = Literal["light", "dark"]
_RULES: dict[Theme, dict[str, Any]] = {"light": _EVERYTHING, "dark": _COLOURS}


def wrong(page: Page, name: str, themes: Iterable[Theme] = ("light", "dark")) -> list[str]:
    """Return the faults of the current page in light and dark.

    The theme changes while the page is open and the last one stays. With SCREENSHOTS=folder a
    screenshot of each is written there.
    """
    page.wait_for_load_state()
    width = page.evaluate("innerWidth")
    faults = []
    if excess := page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)"):
        faults.append(f"{name}, {width}: {excess} px wider than the window")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        faults += _findings(page, f"{name}, {theme}, {width}", _RULES[theme])
        if PICTURES:
            page.evaluate(
                "scrollTo(0, 0)"
            )  # the sticky bar would stay in the middle of a full-page screenshot
            picture = Path(PICTURES) / f"{name.replace(':', '-')}-{theme}-{width}.png"
            page.screenshot(path=picture, full_page=True)
    return faults


def _findings(page: Page, where: str, options: dict[str, Any]) -> list[str]:
    return [
        f"{where}: {one['impact']} {one['id']} {one['nodes'][0]['html'][:200]}"
        for one in _AXE.run(page, options=options).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
