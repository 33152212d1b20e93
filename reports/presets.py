"""Reports that are there before anybody has saved one."""

from collections.abc import Sequence
from datetime import date

from integrations.connectors.base import Preset
from integrations.models import Connection
from reports import limits
from reports.catalog.metrics import catalogs
from reports.engine.spec import ReportSpec, SpecError

_BUILT_IN = (
    Preset("Spend by product", "Cost of 30 days by day.", "group_by=service&range=30d"),
    Preset(
        "Spend by model",
        "Cost of 90 days by product and model, compared with the 90 days before.",
        "group_by=sku,service&range=90d&compare=previous",
    ),
    Preset(
        "Spend by person",
        "Users with the highest cost, and cost without a user.",
        "group_by=user_email&range=30d&show=top-20&chart=bar",
    ),
    Preset(
        "Month to date",
        "The running sum of this month against the same days of the last.",
        "range=mtd&interval=day&cumulative=yes&compare=month&chart=line",
    ),
    Preset(
        "Last month",
        "Cost by organization and product, with list cost and savings.",
        "metrics=cost,list_cost,savings&group_by=billing_account,service&range=last_month",
    ),
    Preset(
        "Not attributed",
        "Cost of API keys, automation and Slack channels by product and model.",
        "group_by=service,sku&range=90d&project_id=",
    ),
    Preset(
        "Token mix",
        "Tokens by kind: cache reads, cache writes, other input and output.",
        "metrics=cache_read_tokens,uncached_input_tokens,cache_write_5m_tokens,output_tokens"
        "&group_by=sku&range=30d",
    ),
    Preset("Cost by token type", "Cost of each kind of token.", "group_by=token_type&range=90d"),
    Preset(
        "Cache",
        "Share of the input read from the cache, by model.",
        "metrics=cache_read_share,cache_read_tokens,input_tokens&group_by=sku&range=90d&chart=line",
    ),
    Preset(
        "Discounts",
        "Savings against list price, by model.",
        "metrics=savings,savings_share,list_cost,cost&group_by=sku&range=90d",
    ),
    Preset(
        "Unit cost by model",
        "Cost per million tokens and per request.",
        "metrics=cost_per_million_tokens,cost_per_request,cost&group_by=sku&range=90d&chart=line",
    ),
    Preset(
        "Cost per active user",
        "Cost by people with usage, month by month.",
        "metrics=cost_per_active_user,people,cost&range=ytd&interval=month&chart=column",
    ),
    Preset(
        "Spend by organization",
        "Quarter to date by billing account, month by month.",
        "group_by=billing_account&range=qtd&interval=month",
    ),
    Preset(
        "Spend by day and product",
        "A heatmap of every day by product.",
        "group_by=service&range=30d&interval=day&chart=heatmap&heat=yes",
    ),
)


def presets() -> tuple[Preset, ...]:
    """Every report that is there from the start: first those of every provider."""
    return (*_BUILT_IN, *catalogs().presets)


def offered(connections: Sequence[Connection], *, today: date) -> list[Preset]:
    """Return those that any of these connections reports."""
    return [preset for preset in presets() if _is_offered(preset, connections, today)]


def _is_offered(preset: Preset, connections: Sequence[Connection], today: date) -> bool:
    if not preset.is_of_some:
        return True
    try:
        spec = ReportSpec.from_query(preset.query, today=today)
    except SpecError:
        return False
    return limits.is_reported(connections, spec)
