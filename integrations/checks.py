"""System checks of the installed connectors: what loading takes for granted of their feeds."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register

from integrations.connectors import connectors
from integrations.connectors.environment import merged_settings, problem_of


@register()
def check_one_feed_per_grain(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report connectors with two feeds that replace the same days of cost or usage."""
    messages: list[CheckMessage] = []
    for connector in connectors().values():
        names = Counter(feed.name for feed in connector.feeds)
        writers = Counter((feed.table, feed.grain) for feed in connector.feeds if feed.is_metered)
        messages += [
            Error(
                f"{connector.slug} has {count} feeds named {name}.",
                hint="Give each feed a name of its own: days and checks are stored by it.",
                id="spendglass.E014",
            )
            for name, count in names.items()
            if count > 1
        ]
        messages += [
            Error(
                f"{connector.slug} has {count} feeds of grain {grain} for {table}.",
                hint="One feed replaces what another stored of the same day. Make them one feed, "
                "or store what one of them brings as activity.",
                id="spendglass.E015",
            )
            for (table, grain), count in writers.items()
            if count > 1
        ]
    return messages


@register()
def check_connector_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Check every environment variable that the catalogs of connectors declare."""
    declared = merged_settings(
        setting for connector in connectors().values() for setting in connector.catalog.settings
    )
    problems = filter(None, map(problem_of, declared.values()))
    return [
        Error(str(problem), hint=problem.hint, id=f"spendglass.{problem.code}")
        for problem in problems
    ]
