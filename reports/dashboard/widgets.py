"""The widgets of GenAI Intelligence, in the order of the page.

`docs/metrics.md` says the same at more length, below a heading that is its title.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.utils.text import slugify

from accounts.deadlines import ReaderLeft
from reports.dashboard import activity, health, people, spend, tokens
from reports.dashboard.results import WidgetResult
from reports.dashboard.scope import Scope

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Widget:
    """One question of the page. `name` stands in addresses: never change it.

    `width` is how many of twelve columns it takes on a desk; a figure stands in the row on top and
    has none.
    """

    name: str
    title: str
    definition: str
    ask: Callable[[Scope], WidgetResult]
    width: int = 0
    template: str = ""

    @property
    def anchor(self) -> str:
        """Its heading in docs/metrics.md."""
        return slugify(self.title)

    @property
    def path(self) -> str:
        return f"dashboards/widgets/{self.template}.html"

    @property
    def is_figure(self) -> bool:
        return not self.width


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


def _figure(name: str, title: str, definition: str, ask: Callable[[Scope], WidgetResult]) -> Widget:
    return Widget(name, title, definition, ask)


WIDGET_LIST = (
    _figure(
        "spend",
        "Spend",
        "Everything the organization used on these days, after discounts, before credits and tax."
        " Seat fees are not included. The change compares complete days only.",
        spend.spend,
    ),
    _figure(
        "month-to-date",
        "Month to date",
        "Spend of this month, independent of the chosen dates, compared with the same days of "
        "last month. Savings are list price minus charges.",
        spend.month_to_date,
    ),
    _figure(
        "forecast",
        "Forecast",
        "Complete days of this month, plus an estimate of each other day from the same weekdays "
        "before, with more weight on recent weeks. The range is an 80 % prediction interval. "
        "Unknown days are estimated like future ones, not counted as zero.",
        spend.forecast,
    ),
    _figure(
        "active-users",
        "Active users, 30 days",
        "Different people in the 30 days up to the last day that is known, as the provider counts"
        " them. Never added up over days or connections.",
        activity.active_figure,
    ),
    _figure(
        "seats",
        "Seats",
        "Assigned seats on the last day that is known, the part of them used within 7 days, and "
        "invitations that are not accepted yet.",
        activity.seats,
    ),
    _figure(
        "cache-share",
        "Cache-read share",
        "Input tokens read from a cache, divided by all input tokens. Cache reads cost a tenth of"
        " other input, so more is better.",
        tokens.cache_share,
    ),
    Widget(
        "spend-over-time",
        "Spend over time by product",
        "Spend by Claude product. Hatched days can still be restated; days left of the double rule"
        " are final. A day that is not known is a gap.",
        spend.over_time,
        width=12,
        template="over_time",
    ),
    Widget(
        "models",
        "Spend by model",
        "Spend by model, as the provider names it. “No model” is cost that belongs to no single"
        " one, such as code execution.",
        spend.by_model,
        width=5,
        template="models",
    ),
    Widget(
        "tokens",
        "Tokens by type",
        "The five kinds of tokens. Cache reads are cheap; the line shows how much of the input"
        " they are.",
        tokens.by_type,
        width=7,
        template="tokens",
    ),
    Widget(
        "active-users-over-time",
        "Active users",
        "Different people on a day, in 7 and in 30 days, as the provider counts them. They overlap"
        " between days and products, so they are never added up.",
        activity.active_users,
        width=7,
        template="active_users",
    ),
    Widget(
        "adoption",
        "Adoption",
        "From invitation to regular use. Active every week: with activity in each of the last "
        "four weeks. Two products or more: in 30 days.",
        activity.adoption,
        width=5,
        template="adoption",
    ),
    Widget(
        "top-users",
        "Top users by spend",
        "Cost that belongs to a person’s account. Cost of API keys and automation has no user and "
        "a row of its own.",
        people.top_users,
        width=12,
        template="top_users",
    ),
    Widget(
        "cost-per-user",
        "Cost per active user",
        "All spend by the people who used tokens. p50, p90 and p99 are percentiles of the cost "
        "per person.",
        people.per_user,
        width=4,
        template="per_user",
    ),
    Widget(
        "claude-code",
        "Claude Code output",
        "What Claude Code counted itself. Accept rate: accepted edits by proposed edits. Cost per"
        " commit: all cost of Claude Code by its commits; where it is no product of its own, the"
        " provider's estimate.",
        activity.code_output,
        width=4,
        template="claude_code",
    ),
    Widget(
        "activity",
        "Chat, Cowork, Office, Design",
        "Messages and actions in these days, and how many different people there were.",
        activity.surfaces,
        width=4,
        template="activity",
    ),
    Widget(
        "rising",
        "Rising",
        "The people and models whose spend grew by the most dollars, comparing complete days with "
        "the days before.",
        people.rising,
        width=7,
        template="rising",
    ),
    Widget(
        "price-drivers",
        "What drives the price",
        "Long context, fast mode and geography change what the same model costs. The three break "
        "down the same dollars and are never added up.",
        spend.price_drivers,
        width=5,
        template="price_drivers",
    ),
    Widget(
        "catalog",
        "Skills, connectors, projects",
        "Explicit uses in these days. People of several days are only added up where the provider"
        " did it; otherwise it is the most on one day.",
        activity.catalog,
        width=7,
        template="catalog",
    ),
    Widget(
        "unattributed",
        "Not attributed to a user",
        "What API keys, automation and channels cost: the organization’s total minus the cost of "
        "users.",
        spend.unattributed,
        width=5,
        template="unattributed",
    ),
    Widget(
        "health",
        "Data health",
        "Which days are imported, final or missing, and whether they agree with the provider’s "
        "own totals.",
        health.health,
        width=12,
        template="health",
    ),
)
WIDGETS = {widget.name: widget for widget in WIDGET_LIST}
