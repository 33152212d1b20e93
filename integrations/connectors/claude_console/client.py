"""Reads the Admin API of the Claude Console, in the API's own words.

Source: https://platform.claude.com/docs/en/build-with-claude/administration-api and, for the
three reports, …/usage-cost-api and …/claude-code-analytics-api
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from integrations.connectors.anthropic.client import ApiClient, Decode, Params, decoder
from integrations.connectors.anthropic.errors import ErrorMessages, unexpected
from integrations.connectors.anthropic.limits import Filters
from integrations.connectors.anthropic.reports import CacheCreation, Dimensions, ServerToolUse
from integrations.connectors.base import Access, NotAvailable, PayloadError
from integrations.window import Window

ROOT = "/v1/organizations"
LONGEST_RANGE = 31  # days a page of the two bucketed reports holds
LARGEST_PAGE = 1000  # rows of the other endpoints

WORDING = ErrorMessages(
    scope="admin access",
    key_repair="Paste the key again. If that does not help, ask an admin of the Claude Console "
    "for a new one.",
    billing_repair="Ask a billing admin to look at Billing in the Claude Console, then test again.",
    denied="Anthropic denied access. The Admin API is not open to this organization or this key.",
    denied_repair="Ask an admin of the Claude Console to open Settings, then Admin keys, and to "
    "create a key there. Individual accounts have no Admin API. Then test again.",
    scope_repair="Ask an admin of the Claude Console for an Admin key and paste it here.",
    not_found="Anthropic found nothing for this key. The organization may be gone, or the key may "
    "not be an Admin key.",
    not_found_repair="Ask an admin of the Claude Console to check the key in Settings, then Admin "
    "keys. Then test again.",
    rate_limited="Too many requests. The key itself is fine: another tool may be sending many "
    "requests for the same organization.",
    not_available="Anthropic has no data for these days: they are too recent or too old.",
    not_available_repair="The next refresh tries again.",
)


# --- What the API answers ------------------------------------------------------------------


class CostRow(Dimensions, kw_only=True):
    """Cents as a decimal string. There is one amount, and no list price."""

    amount: Decimal
    currency: str | None = "USD"
    list_amount: Decimal | None = None
    description: str | None = None


class UsageRow(Dimensions, kw_only=True):
    """Tokens of a group. Requests are not counted here."""

    account_id: str | None = None
    service_account_id: str | None = None
    uncached_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    server_tool_use: ServerToolUse | None = None
    requests: int | None = None


Row = TypeVar("Row", covariant=True)


class Bucket(msgspec.Struct, Generic[Row]):
    """One day. Without `results`, nothing was used."""

    starting_at: str
    results: list[Row] = []


class Report(msgspec.Struct, Generic[Row]):
    data: list[Bucket[Row]]
    has_more: bool | None = None
    next_page: str | None = None
    organization_id: str | None = None


class DeveloperActivity(msgspec.Struct):
    """User of Claude Code: a person by address, or an API key by name. Ids are not sent."""

    type: str = ""
    email_address: str | None = None
    api_key_name: str | None = None


class Estimate(msgspec.Struct):
    """Cents, as a JSON number."""

    amount: Decimal
    currency: str | None = "USD"


class ModelUse(msgspec.Struct):
    """One model's share of a developer's day. `tokens` is an open map of counts."""

    model: str = ""
    tokens: dict[str, Any] = {}
    estimated_cost: Estimate | None = None


class ActivityRow(msgspec.Struct):
    """One developer, day, terminal and kind of customer. The maps are open."""

    date: str
    actor: DeveloperActivity | None
    customer_type: str | None = None
    subscription_type: str | None = None
    terminal_type: str | None = None
    is_remote: bool | None = None
    core_metrics: dict[str, Any] = {}
    tool_actions: dict[str, Any] = {}
    model_breakdown: list[ModelUse] = []


class ActivityPage(msgspec.Struct):
    data: list[ActivityRow]
    has_more: bool | None = None
    next_page: str | None = None


class Organization(msgspec.Struct):
    id: str
    name: str = ""


class Residency(msgspec.Struct):
    """Region where a workspace keeps data; the API sends a word or a list of words."""

    workspace_geo: str | None = None
    default_inference_geo: str | None = None


class Workspace(msgspec.Struct):
    """`tags` are the customer's own; the API knows their current values alone."""

    id: str
    name: str = ""
    archived_at: str | None = None
    created_at: str | None = None
    tags: dict[str, Any] | None = None
    data_residency: Residency | None = None


class Creator(msgspec.Struct):
    """`type` is user or service_account."""

    id: str | None = None
    type: str | None = None


class Principal(msgspec.Struct):
    """Identity a key acts as. Version 2023-06-01 has `id`, newer ones an id for each type."""

    type: str | None = None
    id: str | None = None
    user_id: str | None = None
    service_account_id: str | None = None


class Scope(msgspec.Struct):
    """Access of a key: newer versions send it instead of `workspace_id`."""

    type: str | None = None
    workspace_id: str | None = None


class ApiKey(msgspec.Struct):
    """`workspace_id` null is the default workspace; a `scope` has the real id of that one, too."""

    id: str
    name: str = ""
    status: str = ""
    created_at: str | None = None
    expires_at: str | None = None
    created_by: Creator | None = None
    principal: Principal | None = None
    workspace_id: str | None = None
    scope: Scope | None = None
    partial_key_hint: str | None = None


class Member(msgspec.Struct):
    id: str
    email: str = ""
    name: str = ""
    role: str = ""


Object = TypeVar("Object", bound=Workspace | ApiKey | Member)


class Listing(msgspec.Struct, Generic[Object]):
    data: list[Object]
    has_more: bool = False
    last_id: str | None = None


_COST = decoder(Report[CostRow])
_USAGE = decoder(Report[UsageRow])
_DEVELOPMENTS = decoder(ActivityPage)
_ORGANIZATION = decoder(Organization)
_WORKSPACES = decoder(Listing[Workspace])
_API_KEYS = decoder(Listing[ApiKey])
_MEMBERS = decoder(Listing[Member])


# --- The client ----------------------------------------------------------------------------


class AdminClient(ApiClient):
    """Read-only client of one Console organization. Its key could do more; this cannot."""

    def __init__(self, access: Access) -> None:
        super().__init__(access, root=ROOT, wording=WORDING)

    def organization(self) -> Organization:
        own: Organization = self.get("/me", [], _ORGANIZATION)
        return own

    def cost_report(
        self, window: Window, *, group_by: Sequence[str] = (), limit: int = LONGEST_RANGE
    ) -> Iterator[Report[CostRow]]:
        """Yield pages of `limit` daily buckets, oldest first. Priority Tier is not in them."""
        return self.pages("/cost_report", _report_params(window, group_by, {}, limit), _COST)

    def messages_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str] = (),
        filters: Filters | None = None,
        limit: int = LONGEST_RANGE,
    ) -> Iterator[Report[UsageRow]]:
        """Yield pages of `limit` daily buckets of tokens, oldest first.

        At most five dimensions; the live API refuses more, which no documentation says.
        """
        params = _report_params(window, group_by, filters or {}, limit)
        return self.pages("/usage_report/messages", params, _USAGE)

    def claude_code(self, day: date) -> Iterator[ActivityPage]:
        """Yield pages of what developers did with Claude Code on one day.

        Raises `NotAvailable` for a day that is too recent or too old.
        """
        path, start = "/usage_report/claude_code", ("starting_at", day.isoformat())

        def read(limit: int) -> Iterator[ActivityPage]:
            params = [start, ("limit", str(limit))]
            return self.pages(path, params, _DEVELOPMENTS, bad_request=NotAvailable)

        return self.largest_pages(path, LARGEST_PAGE, read)

    def workspaces(self) -> Iterator[Listing[Workspace]]:
        """Yield pages of workspaces, archived ones too. The default one is not among them."""
        return self._listings("/workspaces", [("include_archived", "true")], _WORKSPACES)

    def default_workspace(self, listed: Collection[str]) -> Workspace | None:
        """Return the workspace that the API lists on demand only, and that is not in `listed`.

        None where an organization has none or the API does not know the parameter yet.
        """
        params = [("include_archived", "true"), ("include_default", "true")]
        try:
            listings: Iterator[Listing[Workspace]] = self._listings(
                "/workspaces", params, _WORKSPACES
            )
            unlisted = (one for listing in listings for one in listing.data if one.id not in listed)
            return next(unlisted, None)
        except PayloadError as exc:
            if exc.status != 400:
                raise
            return None

    def api_keys(self) -> Iterator[Listing[ApiKey]]:
        """Yield pages of API keys, whatever their status."""
        return self._listings("/api_keys", [], _API_KEYS)

    def members(self) -> Iterator[Listing[Member]]:
        """Yield pages of those who are members now; former members are not among them."""
        return self._listings("/users", [], _MEMBERS)

    def _listings(self, path: str, params: Params, decode: Decode) -> Iterator[Listing[Any]]:
        """Follow a list from object to object, a thousand at a time if that is not too much."""

        def read(limit: int) -> Iterator[Listing[Any]]:
            return self._listed(path, [*params, ("limit", str(limit))], decode)

        return self.largest_pages(path, LARGEST_PAGE, read)

    def _listed(self, path: str, params: Params, decode: Decode) -> Iterator[Listing[Any]]:
        after: Params = []
        seen: set[str] = set()
        while True:
            listing: Listing[Any] = self.get(path, [*params, *after], decode)
            yield listing
            if not listing.has_more:
                return
            last = listing.last_id
            if not last or last in seen:
                raise unexpected("Anthropic announced another page, but not where it begins.")
            seen.add(last)
            after = [("after_id", last)]


def _report_params(window: Window, group_by: Sequence[str], filters: Filters, limit: int) -> Params:
    return [
        ("starting_at", f"{window.start}T00:00:00Z"),
        ("ending_at", f"{window.end}T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", str(limit)),
        *(("group_by[]", name) for name in group_by),
        *((f"{name}[]", value) for name, values in filters.items() for value in values),
    ]
