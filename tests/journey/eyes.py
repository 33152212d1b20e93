"""What one would see wrong on a page: serious findings of axe, and a page that scrolls sideways."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()
_EVERYTHING = {"resultTypes": ["violations"]}
_COLOURS = {**_EVERYTHING, "runOnly": {"type": "rule", "values": ["color-contrast"]}}


def wrong(page: Page, where: str) -> list[str]:
    """What nobody should have to live with on the page as it is now; empty if all is well."""
    found = _findings(page, where, _EVERYTHING)
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"{where}: {excess} px wider than the window"] if excess > 0 else found


def wrong_in_colour(page: Page, where: str) -> list[str]:
    """What the other theme alone can break: axe looks at contrasts, and at nothing else."""
    return _findings(page, where, _COLOURS)


def _findings(page: Page, where: str, options: dict[str, Any]) -> list[str]:
    return [
        f"{where}: {one['impact']} {one['id']} {one['nodes'][0]['html'][:200]}"
        for one in _AXE.run(page, options=options).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
