"""Reports that are there before anybody has saved one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from integrations.models import Connection
from reports import limits
from reports.engine.spec import ReportSpec, SpecError


@dataclass(frozen=True)
class Preset:
    """`query` is the report as it stands in an address.

    `is_of_some`: only some providers report it, so it is offered where one of them is connected.
    """

    name: str
    description: str
    query: str
    is_of_some: bool = False

    def is_offered(self, connections: Sequence[Connection], *, today: date) -> bool:
        """Return True if any of these connections reports the metrics."""
        if not self.is_of_some:
            return True
        try:
            spec = ReportSpec.from_query(self.query, today=today)
        except SpecError:
            return False
        return limits.is_reported(connections, spec)


PRESETS = (
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
        "Spend by group",
        "Cost of 30 days by group. People may be in several, so groups have no total.",
        "group_by=rbac_group_id&range=30d&chart=bar",
        is_of_some=True,
    ),
    Preset(
        "Spend by Slack channel",
        "Cost of 30 days of Claude in Slack, by channel.",
        "group_by=slack_channel_id&range=30d&chart=bar",
        is_of_some=True,
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
        "Price drivers",
        "Long context, fast mode and geography.",
        "group_by=context_window,speed,inference_geo&range=30d",
    ),
    Preset(
        "Spend by organization",
        "Quarter to date by billing account, month by month.",
        "group_by=billing_account&range=qtd&interval=month",
    ),
    Preset(
        "Active users",
        "Of 1, 7 and 30 days, with the seats.",
        "metrics=weekly_active_users,daily_active_users,monthly_active_users,seats"
        "&range=30d&interval=day&chart=line",
    ),
    Preset(
        "Claude Code output",
        "Sessions, commits, lines and the rate of accepted edits, by person.",
        "metrics=code_sessions,code_commits,code_lines_added,accept_rate&group_by=user_email"
        "&range=30d&show=top-20",
    ),
    Preset(
        "Spend by day and product",
        "A heatmap of every day by product.",
        "group_by=service&range=30d&interval=day&chart=heatmap&heat=yes",
    ),
)
