"""Template tags shared by all pages: icons, links to reports, short identifiers."""

from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Organization
from integrations.connectors.base import Connector
from integrations.window import Window

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of `static/icons.svg`, hidden from screen readers: text accompanies it."""
    return format_html(
        '<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name
    )


# State of a check or of a step of an import to its tone and icon.
_TONES = {
    "passed": ("good", "ok"),
    "done": ("good", "ok"),
    "failed": ("bad", "fail"),
    "limited": ("warn", "warn"),
    "waiting": ("warn", "clock"),
    "paused": ("warn", "pause"),
    "running": ("busy", "sync"),
    "info": ("off", "info"),
}


@register.filter
def tone(state: str) -> str:
    """Return the tone of a state: good, warn, bad, busy or off."""
    return _TONES.get(state, ("off", "queue"))[0]


@register.filter
def tone_icon(state: str) -> str:
    """Return the icon of a state."""
    return _TONES.get(state, ("off", "queue"))[1]


@register.filter
def step_state(state: str) -> str:
    """Return the state of a step for its tone: one that has not begun is no warning."""
    return "queued" if state == "waiting" else state


@register.filter
def spoken_state(state: str) -> str:
    """Return what a screen reader adds to the label of a check; the icon shows it to others."""
    words = {"failed": ": failed", "limited": ": with a limit", "waiting": ": not answered"}
    return words.get(state, "")


@register.simple_tag
def analyze_url(organization: Organization, connector: Connector, label: str = "") -> str:
    """Return the URL of a report filtered to a provider, and to a connection by `label`."""
    query = {
        "provider": connector.name,
        "metrics": "cost",
        "group_by": "service",
        "range": "30d",
    }
    if label:
        query["billing_account"] = label
    return f"{reverse('reports:explore', args=[organization.slug])}?{urlencode(query)}"


@register.simple_tag
def refresh_interval() -> str:
    """Return the refresh interval as it follows “every”: 6 hours, hour, 30 minutes."""
    minutes = round(settings.SYNC_INTERVAL.total_seconds() / 60)
    number, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return unit if number == 1 else f"{number} {unit}s"


@register.filter
def short_id(identifier: str) -> str:
    """Keep both ends of a long identifier, which is what people compare."""
    return identifier if len(identifier) <= 15 else f"{identifier[:9]}…{identifier[-4:]}"


@register.filter
def first_sentence(text: object) -> str:
    """Return the first sentence of a message, which is set in bold."""
    head, stop, _ = str(text).partition(". ")
    return head + stop.rstrip()


@register.filter
def further_sentences(text: object) -> str:
    return str(text).partition(". ")[2]


@register.filter
def days(window: Window) -> str:
    """Format a range of days: 3 Nov, or 24 Aug to 21 Nov."""
    first, last = window.start, window.last_day
    if first == last:
        return f"{first.day} {first:%b}"
    return f"{first.day} {first:%b} to {last.day} {last:%b}"


@register.filter
def took(seconds: float | None) -> str:
    """Format a duration: 0.4 s, 31 s, 12 min, 3 h 50 min, or “–” while it lasts."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
