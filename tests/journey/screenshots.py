"""What one would see wrong on a page: serious findings of axe, and a page that scrolls sideways."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PICTURES = os.environ.get("SCREENSHOTS", "")
_AXE = Axe()
_EVERYTHING = {"resultTypes": ["violations"]}
# What another theme alone can break.
_COLOURS = {**_EVERYTHING, "runOnly": {"type": "rule", "values": ["color-contrast"]}}
Theme = Literal["light", "dark"]
_RULES: dict[Theme, dict[str, Any]] = {"light": _EVERYTHING, "dark": _COLOURS}


def wrong(page: Page, name: str, themes: Iterable[Theme] = ("light", "dark")) -> list[str]:
    """What nobody should have to live with on the page as it is now, by day and by night.

    The theme changes while the page is open, as a computer does it at dusk, and stays the last one.
    With SCREENSHOTS=folder a picture of each lands there.
    """
    page.wait_for_load_state()
    width = page.evaluate("innerWidth")
    found = []
    if excess := page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)"):
        found.append(f"{name}, {width}: {excess} px wider than the window")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        found += _findings(page, f"{name}, {theme}, {width}", _RULES[theme])
        if PICTURES:
            page.evaluate("scrollTo(0, 0)")  # the bar stays where it is on a picture of everything
            picture = Path(PICTURES) / f"{name.replace(':', '-')}-{theme}-{width}.png"
            page.screenshot(path=picture, full_page=True)
    return found


def _findings(page: Page, where: str, options: dict[str, Any]) -> list[str]:
    return [
        f"{where}: {one['impact']} {one['id']} {one['nodes'][0]['html'][:200]}"
        for one in _AXE.run(page, options=options).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
