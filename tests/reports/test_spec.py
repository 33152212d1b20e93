"""A report is its address: what is written can be read back, what means nothing is refused."""

from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.window import Window
from reports.catalog.metrics import DIMENSIONS, METRICS, Source
from reports.engine.periods import COMPARISONS, CUSTOM, INTERVALS, RANGES, first_day, last_day
from reports.engine.spec import (
    CHARTS,
    COMPARED,
    FILTERABLE,
    NUMBERS,
    Filter,
    Operator,
    ReportSpec,
    SpecError,
)

TODAY = date(2026, 11, 22)

days = st.dates(date(2020, 1, 1), date(2030, 12, 31))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


def _values(operator: Operator) -> st.SearchStrategy[list[str]]:
    values = texts if operator.is_exact else texts.filter(bool)
    return st.lists(values, min_size=1, max_size=3, unique=True)


@st.composite
def specs(draw) -> ReportSpec:
    metrics = draw(st.lists(st.sampled_from(list(METRICS)), min_size=1, max_size=4, unique=True))
    sources = {source for name in metrics for source in METRICS[name].sources}
    allowed = [name for name, d in DIMENSIONS.items() if sources <= d.sources]
    filterable = [name for name in allowed if name in FILTERABLE]
    chosen = draw(st.sampled_from([*RANGES, CUSTOM]))
    if chosen == CUSTOM:
        start = draw(days)
        window = Window(start, start + timedelta(days=draw(st.integers(1, 400))))
    else:
        window = RANGES[chosen].window(TODAY)
    limit = draw(st.integers(0, 100))
    return ReportSpec(
        metrics=tuple(metrics),
        window=window,
        range=chosen,
        group_by=tuple(draw(st.lists(st.sampled_from(allowed), max_size=3, unique=True))),
        interval=draw(st.sampled_from(["", *INTERVALS])),
        filters=tuple(
            Filter(name, tuple(draw(_values(operator))), operator)
            for name, operator in draw(
                st.lists(
                    st.tuples(st.sampled_from(filterable), st.sampled_from(Operator)),
                    max_size=3,
                    unique=True,
                )
            )
        ),
        limit=limit,
        smallest=limit > 0 and draw(st.booleans()),
        cumulative=draw(st.booleans()),
        final=draw(st.booleans()),
        heat=draw(st.booleans()),
        compared=tuple(name for name in COMPARED if draw(st.booleans())),
        sort=draw(st.sampled_from(["", "name", f"-{metrics[0]}", "change", "-2026-11-02"])),
        compare=draw(st.sampled_from(["", *COMPARISONS])),
        chart=draw(st.sampled_from(["", *CHARTS])),
        numbers=draw(st.sampled_from(["", *NUMBERS])),
    )


@given(specs())
def test_an_address_says_the_whole_report(spec):
    assert ReportSpec.from_query(spec.to_query(), today=TODAY) == spec


@given(st.text(max_size=60))
def test_any_address_is_understood_or_refused(query):
    with suppress(SpecError):
        spec = ReportSpec.from_query(query, today=TODAY)
        assert ReportSpec.from_query(spec.to_query(), today=TODAY) == spec


def test_the_link_of_a_card_is_understood():
    spec = ReportSpec.from_query(
        "provider=Anthropic+%28Analytics+API%29&metrics=cost&group_by=service&range=30d"
        "&billing_account=my-org",
        today=TODAY,
    )

    assert spec == ReportSpec(
        metrics=("cost",),
        window=Window(date(2026, 10, 24), date(2026, 11, 23)),
        range="30d",
        group_by=("service",),
        filters=(
            Filter("provider", ("Anthropic (Analytics API)",)),
            Filter("billing_account", ("my-org",)),
        ),
    )


def test_a_bare_address_is_the_cost_of_the_last_thirty_days():
    spec = ReportSpec.from_query("", today=TODAY)

    assert (spec.metrics, spec.range, len(spec.window)) == (("cost",), "30d", 30)


def test_repeated_names_and_commas_mean_the_same_and_count_once():
    repeated = "metrics=cost&metrics=savings&group_by=&group_by=sku&group_by=&metrics=cost"

    assert ReportSpec.from_query(repeated, today=TODAY) == ReportSpec.from_query(
        "metrics=cost,savings&group_by=sku", today=TODAY
    )


def test_an_empty_filter_value_is_a_filter():
    spec = ReportSpec.from_query("project_id=", today=TODAY)

    assert spec.filters == (Filter("project_id", ("",)),)


@pytest.mark.parametrize(
    ("chosen", "first", "last"),
    [
        ("7d", "2026-11-16", "2026-11-22"),
        ("30d", "2026-10-24", "2026-11-22"),
        ("90d", "2026-08-25", "2026-11-22"),
        ("today", "2026-11-22", "2026-11-22"),
        ("yesterday", "2026-11-21", "2026-11-21"),
        ("wtd", "2026-11-16", "2026-11-22"),  # a Sunday
        ("last_week", "2026-11-09", "2026-11-15"),
        ("12m", "2025-11-01", "2026-10-31"),
        ("mtd", "2026-11-01", "2026-11-22"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("qtd", "2026-10-01", "2026-11-22"),
        ("last_quarter", "2026-07-01", "2026-09-30"),
        ("ytd", "2026-01-01", "2026-11-22"),
        ("365d", "2025-11-23", "2026-11-22"),
    ],
)
def test_ranges_follow_the_calendar(chosen, first, last):
    window = ReportSpec.from_query(f"range={chosen}", today=TODAY).window

    assert (f"{window.start}", f"{window.last_day}") == (first, last)


def test_last_month_of_january_is_december():
    window = RANGES["last_month"].window(date(2027, 1, 31))

    assert window == Window(date(2026, 12, 1), date(2027, 1, 1))


def test_both_custom_days_are_included():
    window = ReportSpec.from_query("from=2026-11-01&to=2026-11-01", today=TODAY).window

    assert window == Window(date(2026, 11, 1), date(2026, 11, 2))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("metrics=costs", "metrics"),
        ("group_by=model", "group_by"),
        ("model=x", "filters"),
        ("day=2026-11-01", "filters"),
        ("interval=hour", "interval"),
        ("range=1d", "range"),
        ("range=custom", "range"),
        ("from=2026-11-01", "range"),
        ("from=2026-11-02&to=2026-11-01", "range"),
        ("from=2026-11-31&to=2026-12-01", "range"),
        ("from=2026-11-01&to=9999-12-31", "range"),
        ("metrics=requests&group_by=token_type", "group_by"),
        ("metrics=requests&cost_type=tokens", "filters"),
        ("service=%00", "filters"),
        ("service.like=x", "filters"),
        ("service.contains=", "filters"),
        ("show=10", "show"),
        ("show=top-101", "show"),
        ("show=bottom-0", "show"),
        ("compare=decade", "compare"),
        ("chart=pie", "chart"),
        ("numbers=roman", "numbers"),
        ("sort=size", "sort"),
        ("sort=-list_cost", "sort"),  # not a metric of this report
        ("compared=after", "compared"),
        ("cumulative=maybe", "cumulative"),
        ("from=1999-01-01&to=1999-12-31", "range"),
        ("metrics=weekly_active_users&group_by=service", "group_by"),
        ("metrics=chat_messages&sku=x", "filters"),
        ("metrics=cost_per_request&group_by=token_type", "group_by"),
    ],
)
def test_what_cannot_be_asked_names_its_field(query, field):
    with pytest.raises(SpecError) as caught:
        ReportSpec.from_query(query, today=TODAY)

    assert caught.value.field == field


@given(days)
def test_an_interval_holds_its_days_and_begins_with_the_first(day):
    for interval in INTERVALS:
        start = first_day(interval, day)
        assert start <= day <= last_day(interval, start)
        assert first_day(interval, last_day(interval, start)) == start
        assert first_day(interval, last_day(interval, start) + timedelta(days=1)) > day


def test_without_an_interval_the_columns_stay_few_enough_to_read():
    def columns(first: str, last: str) -> str:
        return ReportSpec.from_query(f"from={first}&to={last}", today=TODAY).columns_by

    assert columns("2026-10-01", "2026-10-31") == "day"
    assert columns("2026-08-25", "2026-11-22") == "week"
    assert columns("2026-01-01", "2026-11-22") == "month"


def test_only_costs_know_their_type():
    assert [name for name, d in DIMENSIONS.items() if d.sources == {Source.COST}] == [
        "cost_type",
        "token_type",
    ]


def test_counts_of_the_provider_belong_to_days_and_connections_alone():
    assert [name for name, d in DIMENSIONS.items() if Source("summaries") in d.sources] == [
        "day",
        "week",
        "month",
        "quarter",
        "provider",
        "billing_account",
        "currency",
    ]
