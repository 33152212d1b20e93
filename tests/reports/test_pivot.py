"""The table and the chart of a report: which rows, which columns, how sure, how high."""

from datetime import date
from decimal import Decimal

from integrations.models import FeedDay
from integrations.status.days import DayState
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import Unit
from reports.engine.spec import ReportSpec
from reports.render import charts, pivot
from tests.factories import cost, make_connection, usage
from tests.reports.conftest import know

WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))


def lay_out(organization, metrics="cost", group_by="service", window=WEEK, interval="day", **more):
    spec = ReportSpec(
        metrics=tuple(metrics.split(",")),
        window=window,
        group_by=tuple(group_by.split(",")) if group_by else (),
        interval=interval,
        **more,
    )
    return pivot.build(engine.run(organization, spec.by_interval()))


def cells(line):
    return [cell.value for cell in line.cells]


def test_groups_stand_by_size_with_a_cell_per_day_and_a_total(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    cost(connection, "2026-11-02", "1.50", product="chat")
    cost(connection, "2026-11-03", "2.50", product="chat")
    cost(connection, "2026-11-03", "10", product="claude_code")

    pivot = lay_out(organization)

    assert [line.label for line in pivot.lines] == ["Claude Code", "Chat"]
    assert cells(pivot.lines[1]) == [Decimal("1.50"), Decimal("2.50"), 0, 0, 0, 0, 0]
    assert [total.value for total in pivot.lines[1].totals] == [Decimal("4.00")]
    assert [cell.value for cell in pivot.foot][:2] == [Decimal("1.50"), Decimal("12.50")]
    assert pivot.totals[0].value == Decimal("14.00")


def test_an_empty_cell_is_zero_on_a_known_day_and_unknown_on_another(organization, connection):
    know(connection, "2026-11-02", "2026-11-03")
    cost(connection, "2026-11-02", "1", product="chat")

    assert cells(lay_out(organization).lines[0]) == [1, 0, None, None, None, None, None]


def test_a_second_grouping_gives_the_parts_of_each_group(organization, connection):
    cost(connection, "2026-11-02", "1", product="chat", model="haiku")
    cost(connection, "2026-11-02", "2", product="chat", model="opus")
    cost(connection, "2026-11-02", "4", product="chat")

    lines = lay_out(organization, group_by="service,sku").lines

    assert [(line.label, line.is_part, line.totals[0].value) for line in lines] == [
        ("Chat", False, 7),
        ("No model", True, 4),
        ("opus", True, 2),
        ("haiku", True, 1),
    ]
    assert lines[0].parts == 3


def test_a_third_grouping_names_both_parts(organization, connection):
    cost(connection, "2026-11-02", "1", product="chat", model="opus", speed="fast")

    lines = lay_out(organization, group_by="service,sku,speed").lines

    assert [line.label for line in lines] == ["Chat", "opus · Fast"]


def test_every_metric_has_a_total_and_the_first_has_the_cells(organization, connection):
    usage(connection, "2026-11-02", product="chat", output_tokens=5)
    cost(connection, "2026-11-02", "1", product="chat")

    (line,) = lay_out(organization, "output_tokens,cost").lines

    assert cells(line)[0] == 5
    assert [(t.metric.name, t.value) for t in line.totals] == [("output_tokens", 5), ("cost", 1)]


def test_without_a_grouping_there_is_the_total_alone(organization, connection):
    cost(connection, "2026-11-02", "1")

    pivot = lay_out(organization, group_by="")

    assert pivot.lines == ()
    assert [series.label for series in pivot.series] == ["Cost"]
    assert pivot.foot[0].value == 1


def test_the_chart_names_six_and_draws_the_rest_as_other(organization, connection):
    for number in range(9):
        cost(connection, "2026-11-02", str(10 - number), model=f"m{number}")
    cost(connection, "2026-11-02", "100")

    pivot = lay_out(organization, group_by="sku")

    assert [(s.label, s.color, s.values[0]) for s in pivot.series] == [
        ("m0", 1, 10),
        ("m1", 2, 9),
        ("m2", 3, 8),
        ("m3", 4, 7),
        ("m4", 5, 6),
        ("m5", 6, 5),
        ("Other", 7, 100 + 4 + 3 + 2),
    ]
    assert [line.label for line in pivot.lines][:2] == ["No model", "m0"]
    assert [line.is_drawn for line in pivot.lines][:2] == [False, True]


def test_one_rest_keeps_its_name(organization, connection):
    cost(connection, "2026-11-02", "1", product="chat")
    cost(connection, "2026-11-02", "1")

    assert [s.label for s in lay_out(organization).series] == ["Chat", "No product"]


def test_two_names_of_one_product_differ(organization, connection):
    cost(connection, "2026-11-02", "1", product="claude_tag")
    cost(connection, "2026-11-02", "2", product="claude-in-slack")

    assert [line.label for line in lay_out(organization).lines] == [
        "Claude Tag (Slack) (claude-in-slack)",
        "Claude Tag (Slack) (claude_tag)",
    ]


def test_long_tables_are_cut_and_say_so(organization, connection, monkeypatch):
    monkeypatch.setattr(pivot, "MAX_ROWS", 2)
    for number in range(5):
        cost(connection, "2026-11-02", str(number + 1), model=f"m{number}")

    table = lay_out(organization, group_by="sku")

    assert (len(table.lines), table.left_out) == (2, 3)
    assert table.totals[0].value == 15


# --- How sure -------------------------------------------------------------------------------
def test_columns_are_as_sure_as_their_worst_day_and_final_ends_once(organization, connection):
    know(connection, "2026-10-26", "2026-11-03")
    know(connection, "2026-11-04", "2026-11-15", "provisional")
    know(connection, "2026-11-16", "2026-11-16", "incomplete")
    window = Window(date(2026, 10, 28), date(2026, 11, 24))

    pivot = lay_out(organization, window=window, interval="week")

    assert [(c.start.isoformat(), c.state.name, c.is_edge) for c in pivot.columns] == [
        ("2026-10-26", "FINAL", False),
        ("2026-11-02", "PROVISIONAL", True),
        ("2026-11-09", "PROVISIONAL", False),
        ("2026-11-16", "INCOMPLETE", False),
        ("2026-11-23", "UNKNOWN", False),
    ]
    assert pivot.columns[0].window == Window(date(2026, 10, 28), date(2026, 11, 2))
    assert [(s.label, s.width, s.is_edge) for s in pivot.spans] == [
        ("Final", 1, False),
        ("Can still change", 2, True),
        ("Incomplete", 1, False),
        ("No data", 1, False),
    ]
    assert pivot.certainty == {"final": 1, "provisional": 2, "incomplete": 1, "unknown": 1}
    assert not pivot.is_closed


def test_a_report_is_closed_when_all_of_it_is_final_and_nobody_is_missing(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    assert lay_out(organization).is_closed

    make_connection(organization, "labs")
    pivot = lay_out(organization)
    assert not pivot.is_closed
    assert [(late.label, late.first_day) for late in pivot.late] == [("labs", None)]


def test_months_are_called_with_their_year(organization, connection):
    pivot = lay_out(organization, window=Window(date(2026, 9, 5), date(2026, 11, 3)),
                    interval="month")  # fmt: skip

    assert [column.label for column in pivot.columns] == ["Sep 2026", "Oct 2026", "Nov 2026"]


# --- Geometry -------------------------------------------------------------------------------
def test_bars_are_as_high_as_their_values(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    cost(connection, "2026-11-02", "100", product="chat")
    cost(connection, "2026-11-03", "50", product="chat")
    cost(connection, "2026-11-03", "50", product="claude_code")

    chart = charts.stacked(lay_out(organization))
    first, second, third = chart.bars[:3]

    assert first.height == second.height
    assert second.segments[0].color == 2  # Chat is larger in all, and nearest to the line
    assert second.segments[1].y < second.segments[0].y
    assert abs(2 * (chart.bottom - second.segments[0].y) - first.height) < 0.2
    assert (third.height, third.segments) == (0, ())
    assert [tick.label for tick in chart.ticks] == ["$25", "$50", "$75", "$100"]


def test_credits_are_drawn_below_the_line(organization, connection):
    cost(connection, "2026-11-02", "-30", product="chat")
    cost(connection, "2026-11-02", "60", product="cowork")

    chart = charts.stacked(lay_out(organization))
    up, down = sorted(chart.bars[0].segments, key=lambda segment: segment.y)

    assert up.y < chart.zero <= down.y
    assert chart.ticks[0].label == "−$25"


def test_unknown_days_are_gaps_and_final_ends_with_a_double_rule(organization, connection):
    know(connection, "2026-11-03", "2026-11-04")
    know(connection, "2026-11-05", "2026-11-08", "provisional")

    chart = charts.stacked(lay_out(organization))

    assert [round(gap.middle, 2) for gap in chart.gaps] == [7.14]  # the first of seven columns
    assert chart.closing is not None
    assert (round(chart.closing.x, 2), chart.closing.label) == (42.86, "4 Nov")
    assert [bar.state for bar in chart.bars] == ["unknown", *["final"] * 2, *["provisional"] * 4]


def test_a_chart_of_nothing_is_an_empty_frame(organization, connection):
    chart = charts.stacked(lay_out(organization))

    assert all(not bar.segments for bar in chart.bars)
    assert chart.zero == chart.bottom


def test_a_phone_labels_fewer_columns_of_the_same(organization, connection):
    window = Window(date(2026, 10, 1), date(2026, 10, 31))

    bars = charts.stacked(lay_out(organization, window=window)).bars

    wide = [at for at, bar in enumerate(bars) if bar.label_on]
    narrow = [at for at, bar in enumerate(bars) if bar.label_on == "everywhere"]
    assert wide == list(range(0, 30, 2))
    assert narrow == [0, 6, 12, 18, 24]


def test_the_axis_is_labelled_in_short():
    assert charts.axis_label(15_000, Unit.USD) == "$15k"
    assert charts.axis_label(2_500_000, Unit.USD) == "$2.5M"
    assert charts.axis_label(0.25, Unit.USD) == "$0.25"
    assert charts.axis_label(0.00002, Unit.USD) == "$0.00002"
    assert charts.axis_label(250_000_000, Unit.TOKENS) == "250 M"


def test_columns_cover_every_day_of_the_window_once(organization, connection):
    window = Window(date(2026, 1, 15), date(2026, 12, 20))
    for interval in ("day", "week", "month"):
        days = [d for c in lay_out(organization, window=window, interval=interval).columns
                for d in c.window]  # fmt: skip
        assert days == list(window)


def test_states_are_ordered_from_worst_to_best():
    assert sorted(DayState) == [
        DayState.UNKNOWN,
        DayState.INCOMPLETE,
        DayState.PROVISIONAL,
        DayState.FINAL,
    ]


# --- Comparisons, limits, heat --------------------------------------------------------------
def test_a_change_compares_the_days_that_are_known_on_both_sides(organization, connection):
    know(connection, "2026-10-27", "2026-11-08")
    cost(connection, "2026-10-28", "4", product="chat")
    cost(connection, "2026-11-02", "5", product="chat")
    cost(connection, "2026-11-02", "1", product="cowork")

    pivot = lay_out(organization, compare="previous")
    # 26 October is not known, so neither it nor 2 November, which it would stand beside, counts.
    assert pivot.compared_days == 6
    assert (pivot.totals[0].value, pivot.totals[0].alike, pivot.totals[0].before) == (6, 0, 4)
    assert pivot.totals[0].change == -1
    assert pivot.before == (None, 0, 4, 0, 0, 0, 0)

    know(connection, "2026-10-26", "2026-10-26")
    pivot = lay_out(organization, compare="previous")
    assert pivot.before == (0, 0, 4, 0, 0, 0, 0)
    assert pivot.totals[0].change == Decimal("0.5")
    assert [line.totals[0].change for line in pivot.lines] == [Decimal("0.25"), None]
    assert pivot.lines[1].totals[0].is_new


def test_rows_are_sorted_by_the_column_that_is_named(organization, connection):
    """By hand: a 9 after 1, b 5 after 8, c 7 after 2; and d, new, which has no change."""
    know(connection, "2026-10-26", "2026-11-08")
    for product, before, now in (("a", "1", "9"), ("b", "8", "5"), ("c", "2", "7"), ("d", "", "6")):
        cost(connection, "2026-11-03", now, product=product)
        if before:
            cost(connection, "2026-10-27", before, product=product)

    def order(sort):
        table = lay_out(organization, compare="previous", sort=sort)
        assert [series.label for series in table.series] == ["a", "c", "d", "b"]  # by size, always
        return "".join(line.label for line in table.lines)

    assert order("") == "acdb"
    assert order("cost") == "bdca"
    assert order("-before") == "bcad"
    assert order("-difference") == "adcb"  # 8, 6, 5, -3
    assert order("change") == "bcad"  # -0.375, 2.5, 8, and none
    assert order("-change") == "acbd"
    assert order("-name") == "dcba"
    assert order("2026-11-03") == "bdca"
    assert order("2026-11-04") == "acdb"  # all zero
    assert order("2020-01-01") == "acdb"  # no such column


def test_a_difference_compares_as_many_days_and_other_stays_last(organization, connection):
    know(connection, "2026-10-27", "2026-11-08")  # 2 November has nothing to stand beside
    cost(connection, "2026-10-28", "4", product="chat")
    cost(connection, "2026-11-02", "5", product="chat")
    cost(connection, "2026-11-05", "1", product="chat")
    cost(connection, "2026-11-05", "9", product="cowork")
    cost(connection, "2026-11-05", "2", product="office_agent")

    table = lay_out(organization, compare="previous", limit=1, sort="cost")

    assert [line.label for line in table.lines] == ["Cowork", "Other"]
    total = table.totals[0]
    assert (total.value, total.before, total.difference) == (17, 4, 8)


def test_other_comes_last_whatever_its_size(organization, connection):
    for number, product in enumerate(["a", "b", "c"], start=1):
        cost(connection, "2026-11-02", number, product=product)

    assert [line.label for line in lay_out(organization, limit=1).lines] == ["c", "Other"]
    smallest = lay_out(organization, limit=2, smallest=True)
    assert [line.label for line in smallest.lines] == ["a", "b", "Other"]


def test_what_does_not_add_up_is_not_stacked_and_has_no_other(organization, connection):
    for number in range(9):
        usage(connection, "2026-11-02", product=f"p{number}", requests=1)
        cost(connection, "2026-11-02", number, product=f"p{number}")

    pivot = lay_out(organization, "cost_per_request")

    assert [series.label for series in pivot.series] == ["p8", "p7", "p6", "p5", "p4", "p3"]
    assert charts.kind_of(pivot) == "column"
    assert charts.kind_of(lay_out(organization)) == "stacked"


def test_the_heat_of_a_cell_is_a_fifth_of_the_root_of_the_highest(organization, connection):
    for number, amount in enumerate(["100", "80", "41", "1", "-5"]):
        cost(connection, date(2026, 11, 2 + number), amount, product="chat")

    assert [cell.heat for cell in lay_out(organization).lines[0].cells] == [5, 5, 4, 1, 0, 0, 0]


def test_twenty_bars_may_come_with_other_and_more_are_put_together(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    for number in range(30):
        cost(connection, "2026-11-02", f"{number + 1}", product=f"p{number:02}")
    cost(connection, "2026-11-02", "3")

    of_all = lay_out(organization)
    of_twenty = lay_out(organization, limit=20)
    of_many = lay_out(organization, limit=25)

    assert [group.label for group in of_all.groups[20:]] == ["11 more"]
    assert [group.label for group in of_twenty.groups[20:]] == ["No product", "Other"]
    assert of_twenty.groups[-1].value == 55  # 1 to 10
    assert [group.label for group in of_many.groups[20:]] == ["Other"]
    for table in (of_all, of_twenty, of_many):
        assert sum(group.value for group in table.groups) == table.totals[0].value == 468


def test_an_area_is_hatched_from_the_first_day_that_can_change(organization, connection):
    know(connection, "2026-11-02", "2026-11-08", "provisional")
    for day in WEEK:
        cost(connection, day, "10", product="chat")

    drawn = charts.draw(lay_out(organization, chart="area"))
    assert (drawn.closing, drawn.open_x, drawn.open_width) == (None, 0, 100)

    FeedDay.objects.filter(day__lte="2026-11-03").update(state="final")
    drawn = charts.draw(lay_out(organization, chart="area"))
    assert (drawn.open_x, drawn.open_width) == (28.571, 71.429)  # two days of seven

    FeedDay.objects.update(state="final")
    assert charts.draw(lay_out(organization, chart="area")).open_x is None
