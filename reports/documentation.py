"""The parts of `docs/metrics.md` that are made from what connectors and widgets declare."""

from collections.abc import Iterator

from integrations.connectors import connectors
from integrations.connectors.base import Connector, Endpoint, Field
from integrations.connectors.records import COST_MEASURES
from reports.catalog.metrics import (
    DIMENSIONS,
    METRICS,
    Difference,
    DistinctCount,
    Gauge,
    Metric,
    OfOneDay,
    OfOneDocument,
    Ratio,
    Section,
)
from reports.dashboard.widgets import WIDGET_LIST

_UNITS = {
    "usd": "US dollars",
    "rate": "US dollars for one",
    "tokens": "tokens",
    "count": "count",
    "share": "share",
}


def tables() -> dict[str, str]:
    """Every generated part by the name in its markers."""
    return {
        "metrics": "\n".join(_metrics()),
        "dimensions": "\n".join(_dimensions()),
        "fields": "\n".join(_endpoints()),
        "widgets": "\n".join(_widgets()),
    }


def replaced(text: str) -> str:
    """Return the document with its generated parts replaced.

    A part stands between `[begin NAME]: #` and `[end NAME]: #`, which Markdown does not show.
    """
    for name, table in tables().items():
        begin, end = f"[begin {name}]: #\n", f"[end {name}]: #\n"
        before, marker, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (marker and closed):
            raise ValueError(f"The document has no part {name}.")
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text


def _metrics() -> Iterator[str]:
    for kind in dict.fromkeys(str(metric.kind) for metric in METRICS.values()):
        yield f"#### {kind}\n"
        yield from ("| name | is | unit | may be added over |", "|---|---|---|---|")
        for metric in METRICS.values():
            if metric.kind == kind:
                words = f"{metric.label}. {metric.definition}"
                yield f"| `{metric.name}` | {words} | {_UNITS[metric.unit]} | {_added(metric)} |"
        yield ""


def _dimensions() -> Iterator[str]:
    yield from ("| section | name | label | is |", "|---|---|---|---|")
    section = ""
    for it in sorted(DIMENSIONS.values(), key=lambda it: [*Section].index(it.section)):
        first = "" if it.section == section else str(it.section)
        overlapping = " **Overlapping.**" if it.is_overlapping else ""
        yield f"| {first} | `{it.name}` | {it.label} | {it.definition}{overlapping} |"
        section = it.section


def _added(metric: Metric) -> str:
    if isinstance(metric, Ratio):
        return f"nothing: `{metric.of.name}` is divided by `{metric.per.name}` anew"
    if isinstance(metric, Difference):
        return "nothing: subtracted anew"
    if isinstance(metric, Gauge):
        return "connections" if not metric.is_people else "nothing: the last known day"
    if isinstance(metric, OfOneDay):
        return "people, not days"
    if isinstance(metric, OfOneDocument):
        return "nothing: of one row of the provider"
    if isinstance(metric, DistinctCount):
        return "everything, each person once"
    return "everything"


def _widgets() -> Iterator[str]:
    for widget in WIDGET_LIST:
        yield f"### {widget.title}\n"
        for text in (widget.definition, widget.details):
            yield f"{text}\n"


def _endpoints() -> Iterator[str]:
    for connector in connectors().values():
        yield f"#### {connector.name}\n"
        for endpoint in connector.catalog.endpoints:
            feeds = [feed.name for feed in connector.feeds if feed.name in endpoint.feeds]
            note = f" {endpoint.note}" if endpoint.note else ""
            yield f"`{endpoint.path}`, feeds {', '.join(f'`{name}`' for name in feeds)}.{note}\n"
            yield from ("| field | stored in | shown as |", "|---|---|---|")
            for field in fields(connector, endpoint):
                shown = ", ".join(f"`{name}`" for name in field.shown.split(",") if name)
                yield f"| `{field.name}` | {field.stored or '–'} | {shown or field.why} |"
            yield ""


def _is_computed(path: str) -> bool:
    """Return whether the connector works the number out, so that no field has its name."""
    return path in COST_MEASURES or path.endswith("_usd")


def fields(connector: Connector, endpoint: Endpoint) -> list[Field]:
    """Return the declared fields of an endpoint, with the numbers that metrics read."""
    names: dict[str, list[str]] = {}
    for metric in () if endpoint.is_renamed else connector.catalog.metrics:
        if not {*metric.feeds}.isdisjoint(endpoint.feeds):
            for path in (*metric.paths, *metric.optional_paths):
                names.setdefault(path, []).append(metric.name)
    numbers = [
        Field(path, "EngagementFact.values", ",".join(shown))
        for path, shown in names.items()
        if endpoint.field(path) is None and not _is_computed(path)
    ]
    return [*endpoint.fields, *numbers]
