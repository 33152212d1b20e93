"""Limits of reports: errors for impossible ones, and notes beside the numbers."""

from collections.abc import Iterator, Sequence

from django.utils.text import get_text_list

from accounts.models import Organization
from integrations.models import Connection
from reports import engine
from reports.catalog.metrics import (
    BESIDE,
    DIMENSIONS,
    METRICS,
    Gauge,
    Measure,
    Metric,
    OfOneDay,
    OfOneDocument,
    Source,
    Unit,
    catalogs,
    in_sentence,
)
from reports.coverage import feed_names
from reports.engine import Report, StreamedReport, connections_of
from reports.engine.spec import Filter, ReportSpec, SpecError
from reports.templatetags.figures import count, day_year, usd


def refuse_unanswerable(organization: Organization, spec: ReportSpec) -> None:
    """Raise `SpecError` for a metric that none of the connections reports by a dimension asked."""
    for counting, metric, name in _unanswered(connections_of(organization, spec), spec):
        raise _unanswerable(counting, metric, name, spec)


def is_answered(connections: Sequence[Connection], spec: ReportSpec) -> bool:
    """Return False if none of the connections reports a metric by a dimension asked."""
    return not any(True for _ in _unanswered(connections, spec))


def _unanswered(
    connections: Sequence[Connection], spec: ReportSpec
) -> Iterator[tuple[list[Connection], Metric, str]]:
    """Yield the connections that count a metric, the metric, and the dimension none reports."""
    placed = {measure.name: measure for measure in spec.measures}
    for metric in spec.metric_objects:
        for whole in metric.measures:
            counting = [c for c in connections if _brings(c, whole.source)]
            for name in _cut_by(spec):
                if counting and not any(_answers(c, placed[whole.name], name) for c in counting):
                    yield counting, metric, name


def is_reported(connections: Sequence[Connection], spec: ReportSpec) -> bool:
    """Return True if any of these connections reports each measure by its dimensions."""
    return all(any(_brings(c, measure.source) for c in connections) for measure in spec.measures)


def _unanswerable(
    connections: Sequence[Connection], metric: Metric, name: str, spec: ReportSpec
) -> SpecError:
    labels = _listed([connection.label for connection in connections])
    auxiliary = "does" if len(connections) == 1 else "do"
    word = in_sentence(DIMENSIONS[name].label)
    return SpecError(
        f"{labels} {auxiliary} not report {metric.label.lower()} by {word} ({metric.name}, {name}),"
        f" so all of it would be in one row without a value. Remove {word}, or choose another"
        " metric.",
        field="group_by" if name in spec.group_by else "filters",
        cuts=(name,),
    )


def notes(report: Report | StreamedReport) -> tuple[str, ...]:
    """Sentences a reader needs beside the numbers of a report."""
    sentences = (
        *_notes(report.spec, report.connections),
        *_differences(report.spec, report.connections),
    )
    return tuple(dict.fromkeys(sentences))


def notes_of(organization: Organization, spec: ReportSpec) -> tuple[str, ...]:
    """Return the notes of a report that is written while it is read."""
    connections = connections_of(organization, spec)
    return tuple(dict.fromkeys((*_notes(spec, connections), *_differences(spec, connections))))


def _notes(spec: ReportSpec, connections: Sequence[Connection]) -> Iterator[str]:
    for dimension in spec.dimension_objects:
        if dimension.is_overlapping:
            yield catalogs().attributes[dimension.name].note or (
                f"{dimension.label}s overlap, so they are never added up and there is no total."
            )
    for connection in connections:
        for name in spec.used:
            if name in connection.connector.catalog.inferred:
                yield f"{connection.label}: {connection.connector.catalog.inferred[name]}"
    codes = sorted({connection.currency for connection in connections})
    if len(codes) > 1 and any(metric.is_money for metric in spec.metric_objects):
        yield (
            f"Amounts in {' and '.join(codes)} are never added, so a number over both is “–”. Group"
            " by currency, or filter by one."
        )
    if len(connections) > 1:
        yield from _silent(spec, connections)
    for metric in spec.metric_objects:
        if isinstance(metric, OfOneDocument):
            yield (
                f"{metric.label} is a distinct count of one day. It is shown for single rows of "
                "the provider, and “–” where several would have to be added up. Group by day and "
                "by the counted item."
            )
        elif isinstance(metric, OfOneDay):
            yield (
                f"{metric.label} is a distinct count of one day. Days may overlap, so it is “–” "
                "over several days. Choose the interval day."
            )


def _differences(spec: ReportSpec, connections: Sequence[Connection]) -> Iterator[str]:
    """Return the difference of a second report of the provider to the counted total.

    All of each connection is compared, whatever the report filters: the total has no finer cut.
    """
    asked = {METRICS[name].kind for name in spec.metrics}
    for name, total in BESIDE.items():
        if name not in METRICS or METRICS[name].kind not in asked:
            continue
        beside, difference = METRICS[name], METRICS[f"{name}_difference"]
        if beside.unit not in {METRICS[name].unit for name in spec.metrics}:
            continue
        for connection in connections:
            if not _brings(connection, *beside.sources):
                continue
            own = Filter("billing_account", (connection.label,))
            names = (name, total.name, difference.name)
            question = ReportSpec(names, spec.window, filters=(own,), range=spec.range)
            of, less, gap = engine.run(connection.organization, question).totals
            if gap is None:
                yield (
                    f"{connection.label}: {beside.label} cannot be compared with"
                    f" {total.label.lower()}, the authoritative number: one of the two is not known"
                    " for these days."
                )
                continue
            text = usd if beside.unit is Unit.USD else count
            first, last = day_year(spec.window.start), day_year(spec.window.last_day)
            yield (
                f"{connection.label}: {beside.label} of all of it is {text(of)} from {first} to"
                f" {last}. {total.label}, the authoritative number, is {text(less)}. The difference"
                f" on days that both reports know is {text(gap)}."
            )


def _silent(spec: ReportSpec, connections: Sequence[Connection]) -> Iterator[str]:
    """Return connections that report metrics, but not by some dimensions; each once."""
    measures: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for measure in spec.measures:
        dimensions: dict[tuple[str, ...], list[str]] = {}
        for name in _cut_by(spec):
            silent = tuple(c.label for c in connections if not _answers(c, measure, name))
            if silent:
                word = in_sentence(DIMENSIONS[name].label)
                dimensions.setdefault(silent, []).append(word)
        for labels, words in dimensions.items():
            measures.setdefault((labels, tuple(words)), []).append(measure.label.lower())
    for (silent, cut_by), names in measures.items():
        auxiliary, whose = ("does", "its") if len(silent) == 1 else ("do", "their")
        yield (
            f"{_listed(silent)} {auxiliary} not report {_listed(names)} by {_listed(cut_by)}:"
            f" {whose} part has no value there."
        )


def _listed(words: Sequence[str]) -> str:
    """Join words as in "a, b and c"."""
    return str(get_text_list([*words], "and"))


def _cut_by(spec: ReportSpec) -> list[str]:
    return [name for name in dict.fromkeys(spec.used) if not DIMENSIONS[name].is_everywhere]


def _answers(connection: Connection, measure: Measure, dimension: str) -> bool:
    """Return True if this connection reports the measure by the dimension."""
    source = measure.source
    if isinstance(measure, Gauge) or not _brings(connection, source):
        return False
    if source.is_engagement:
        return True
    catalog = connection.connector.catalog
    if dimension in catalogs().attributes and dimension not in catalog.attribute_names:
        return False
    return catalog.has_dimension(source.value, dimension)


def _brings(connection: Connection, source: Source) -> bool:
    return any(feed_names(connection, source))


def currency_note(connections: Sequence[Connection], shown: str) -> str:
    """Say which connections a page of one currency leaves out; "" if it has all of them."""
    others = [c for c in connections if c.currency != shown]
    if not others:
        return ""
    names = ", ".join(f"{c.label} ({c.currency})" for c in others)
    return (
        f"Amounts of two currencies are never added. This page is in {shown} and leaves out"
        f" {names}: choose those connections to see them."
    )
