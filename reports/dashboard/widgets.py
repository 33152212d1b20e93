"""The widgets of GenAI Intelligence, in the order of the page."""

import logging
from dataclasses import dataclass

from accounts.deadlines import ReaderLeft
from reports.dashboard import activity, health, people, spend, tokens
from reports.dashboard.declaration import DECLARED, Widget
from reports.dashboard.results import WidgetResult
from reports.dashboard.scope import Scope

logger = logging.getLogger(__name__)
# Importing a module declares its widgets.
MODULES = (spend, tokens, people, activity, health)


@dataclass(frozen=True)
class RenderedWidget:
    """A widget with its answer; without one it is still to be asked, or has failed."""

    widget: Widget
    answer: WidgetResult | None = None
    has_failed: bool = False

    @property
    def title(self) -> str:
        return (self.answer and self.answer.title) or self.widget.title


def render_widget(widget: Widget, scope: Scope) -> RenderedWidget:
    """Ask one widget. Whatever goes wrong in it stays in it, and is logged with its traceback."""
    try:
        return RenderedWidget(widget, widget.ask(scope))
    except ReaderLeft:
        raise
    except Exception:
        logger.exception("The widget %s failed: %s", widget.name, scope.query)
        return RenderedWidget(widget, has_failed=True)


PAGE = (
    "spend",
    "month-to-date",
    "forecast",
    "active-users",
    "seats",
    "cache-share",
    "spend-over-time",
    "models",
    "tokens",
    "active-users-over-time",
    "adoption",
    "top-users",
    "cost-per-user",
    "claude-code",
    "activity",
    "rising",
    "price-drivers",
    "catalog",
    "unattributed",
    "health",
)
WIDGET_LIST = tuple(DECLARED[name] for name in PAGE)
WIDGETS = {widget.name: widget for widget in WIDGET_LIST}
