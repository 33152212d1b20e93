"""Reads the Claude Enterprise Analytics API, in the API's own words.

Source: https://platform.claude.com/docs/en/build-with-claude/claude-enterprise-analytics-api
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.client import ApiClient, Params, decoder, has_cursor
from integrations.connectors.anthropic.errors import ErrorMessages
from integrations.connectors.anthropic.limits import Filters
from integrations.connectors.anthropic.reports import CacheCreation, Dimensions, ServerToolUse
from integrations.connectors.anthropic.tolerance import Instant
from integrations.connectors.base import Access, NotAvailable
from integrations.window import Window

ROOT = "/v1/organizations"
LONGEST_RANGE = 31  # days of one question about cost or usage; pages hold as many buckets
LARGEST_PAGE = 1000  # rows

WORDING = ErrorMessages(
    scope="read:analytics",
    key_repair="Paste the key again. If that does not help, ask the Primary Owner for a new one.",
    billing_repair="Ask the Primary Owner to look at Billing in claude.ai, then test again.",
    denied="Anthropic denied access. Public API access may have been switched off in claude.ai.",
    denied_repair="Ask the Primary Owner to open Organization settings, then API, and to switch "
    "access on. Then test again.",
    scope_repair="Scopes cannot be added later, so create a new key with read:analytics and paste "
    "it here.",
    not_found="Anthropic found nothing for this key. The key may be invalid, it may lack "
    "read:analytics, or public API access is switched off in claude.ai.",
    not_found_repair="Ask the Primary Owner to open Organization settings, then API, and to "
    "check that access is on and that the key has read:analytics. Then test again.",
    rate_limited="Too many requests. The key itself is fine: Anthropic allows 60 requests a "
    "minute for the whole organization, and another tool may be using them.",
    not_available="Anthropic has no activity data for these days: they are too recent or too old.",
    not_available_repair="Activity of a day is published the day after, from 10:00 "
    "UTC; we ask again with the next refresh.",
)


# --- What the API answers ------------------------------------------------------------------


class CostRow(Dimensions, kw_only=True):
    amount: Decimal
    list_amount: Decimal | None = None
    currency: str | None = "USD"


class CostBucket(msgspec.Struct):
    starting_at: str
    results: list[CostRow] = []


class UserCostRow(CostRow, kw_only=True):
    actor: Actor | None
    starting_at: str | None = None


class UsageRow(Dimensions, kw_only=True):
    uncached_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    server_tool_use: ServerToolUse | None = None
    requests: int | None = None


class UsageBucket(msgspec.Struct):
    starting_at: str
    results: list[UsageRow] = []


class UserUsageRow(UsageRow, kw_only=True):
    actor: Actor | None
    starting_at: str | None = None


Row = TypeVar("Row", covariant=True)


class Report(msgspec.Struct, Generic[Row]):
    """One page of a cost or usage report.

    `data_refreshed_at` None: no export covers any of the range yet, which is not zero.
    """

    data: list[Row]
    has_more: bool | None = None
    next_page: str | None = None
    data_refreshed_at: Instant | None = None
    organization_id: str | None = None


class Listing(msgspec.Struct):
    """One page of an engagement endpoint: rows of nested numbers, kept open."""

    data: list[dict[str, Any]]
    next_page: str | None = None


class Summaries(msgspec.Struct):
    """One entry per day, unpaginated: `data` in newer versions, `summaries` in 2023-06-01."""

    data: list[dict[str, Any]] | None = None
    summaries: list[dict[str, Any]] | None = None

    @property
    def days(self) -> list[dict[str, Any]] | None:
        return self.data if self.data is not None else self.summaries


_COST = decoder(Report[CostBucket])
_USAGE = decoder(Report[UsageBucket])
_USER_COST = decoder(Report[UserCostRow])
_USER_USAGE = decoder(Report[UserUsageRow])
_LISTING = decoder(Listing)
_SUMMARIES = decoder(Summaries)


# --- The client ----------------------------------------------------------------------------


class AnalyticsClient(ApiClient):
    """Read-only client of one organization."""

    def __init__(self, access: Access) -> None:
        super().__init__(access, root=ROOT, wording=WORDING)

    def cost_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str] = (),
        filters: Filters | None = None,
        limit: int = LONGEST_RANGE,
    ) -> Iterator[Report[CostBucket]]:
        """Yield pages of daily buckets of the whole organization, oldest first.

        At most 100 groups a day come back; the rest is left out without a word. `filters` maps
        a parameter such as `products` to the values to keep.
        """
        params = _report_params(window, group_by, filters, limit)
        return self.pages("/analytics/cost_report", params, _COST)

    def usage_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str] = (),
        filters: Filters | None = None,
        limit: int = LONGEST_RANGE,
    ) -> Iterator[Report[UsageBucket]]:
        """Yield pages of daily buckets of tokens, likewise."""
        params = _report_params(window, group_by, filters, limit)
        return self.pages("/analytics/usage_report", params, _USAGE)

    def user_cost_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str],
        filters: Filters | None = None,
        limit: int = LARGEST_PAGE,
    ) -> Iterator[Report[UserCostRow]]:
        """Yield pages of rows per user, day and group, the dearest first; no row is left out."""
        params = _report_params(window, group_by, filters, limit)
        return self.pages("/analytics/user_cost_report", params, _USER_COST)

    def user_usage_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str],
        filters: Filters | None = None,
        limit: int = LARGEST_PAGE,
    ) -> Iterator[Report[UserUsageRow]]:
        """Yield pages of rows per user, day and group, most tokens first; no row is left out."""
        params = _report_params(window, group_by, filters, limit)
        return self.pages("/analytics/user_usage_report", params, _USER_USAGE)

    def summaries(self, start: date, end: date | None = None) -> list[dict[str, Any]]:
        """Return one entry per day from `start` to before `end` (None: as far as there is one).

        Raises `NotAvailable` for days that are too recent or too old.
        """
        params = [("starting_date", start.isoformat())]
        if end is not None:
            params.append(("ending_date", end.isoformat()))
        answer: Summaries = self.get(
            "/analytics/summaries", params, _SUMMARIES, bad_request=NotAvailable
        )
        if answer.days is None:
            raise NotAvailable(
                "Anthropic answered without a list of daily summaries.",
                code="not_available",
                repair="The next refresh tries again.",
            )
        return answer.days

    def activity(
        self, endpoint: str, days: Window, *, group_by: Sequence[str] = ()
    ) -> Iterator[Listing]:
        """Yield pages of rows of `/users`, `/skills` and the like: of one day, or of several
        rolled up as one. Raises `NotAvailable` as above.
        """
        params = [("date", days.start.isoformat())]
        if len(days) > 1:
            params = [
                ("starting_date", days.start.isoformat()),
                ("ending_date", days.end.isoformat()),
            ]
        params += [("group_by[]", name) for name in group_by]
        path = f"/analytics{endpoint}"

        def read(limit: int | None) -> Iterator[Listing]:
            sized = [] if limit is None else [("limit", str(limit))]
            return self.pages(
                path, [*params, *sized], _LISTING, bad_request=NotAvailable, more=has_cursor
            )

        if endpoint == "/artifacts" and not group_by:  # whole in one answer
            return read(None)
        return self.largest_pages(path, LARGEST_PAGE, read)

    def groups(self) -> Iterator[Listing]:
        """Yield pages of the RBAC groups there are; the key needs read:rbac_groups."""
        path = "/rbac_groups"
        return self.largest_pages(
            path,
            LARGEST_PAGE,
            lambda limit: self.pages(path, [("limit", str(limit))], _LISTING, more=has_cursor),
        )


def _report_params(
    window: Window, group_by: Sequence[str], filters: Filters | None, limit: int
) -> Params:
    # Widths and limits are always sent: their defaults are not stated everywhere.
    return [
        ("starting_at", f"{window.start}T00:00:00Z"),
        ("ending_at", f"{window.end}T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", str(limit)),
        *(("group_by[]", name) for name in group_by),
        *((f"{name}[]", value) for name, values in (filters or {}).items() for value in values),
    ]
