"""Compare reports with the provider's own totals."""

from datetime import date
from decimal import Decimal

from integrations.window import Window
from reports import engine
from reports.engine.spec import Filter, ReportSpec
from reports.reconciliation import reconcile
from tests.factories import cost, day_check, make_connection, make_organization, make_person
from tests.reports.conftest import know

WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))


def check(organization, metrics=("cost",), **filters):
    spec = ReportSpec(metrics, WEEK, filters=tuple(Filter(n, (v,)) for n, v in filters.items()))
    return reconcile(engine.run(organization, spec))


def test_people_and_the_rest_add_up_to_the_total_to_the_last_decimal(organization, connection):
    ann = make_person(connection, "user_ann")
    know(connection, "2026-11-02", "2026-11-03")
    cost(connection, "2026-11-02", "0.1", person=ann)
    cost(connection, "2026-11-02", "0.2")
    cost(connection, "2026-11-03", "5", person=ann)
    day_check(connection, "all_cost", "2026-11-02", "0.3")
    day_check(connection, "all_cost", "2026-11-03", "5")
    day_check(connection, "all_cost", "2026-11-09", "1000")  # after the window

    reconciliation = check(organization)

    assert (reconciliation.attributed, reconciliation.unattributed) == (
        Decimal("5.1"),
        Decimal("0.2"),
    )
    assert (reconciliation.ours, reconciliation.reported, reconciliation.difference) == (
        Decimal("5.3"),
        Decimal("5.3"),
        0,
    )
    assert reconciliation.agrees
    assert reconciliation.vendor == "Anthropic"
    assert f"{reconciliation.read_at:%H:%M}" == "16:05"


def test_more_than_28_digits_add_up_without_a_difference(organization, connection):
    """Python's default context rounds sums to 28 digits, here the last two of the long amount."""
    ann = make_person(connection, "user_ann")
    know(connection, "2026-11-02", "2026-11-03")
    long = "12345.67890123456789012345678901"
    cost(connection, "2026-11-02", long, person=ann)
    cost(connection, "2026-11-03", "20000")
    day_check(connection, "all_cost", "2026-11-02", long)
    day_check(connection, "all_cost", "2026-11-03", "20000")

    reconciliation = check(organization)

    assert str(reconciliation.ours) == "32345.67890123456789012345678901"
    assert reconciliation.difference == 0


def test_less_than_half_a_cent_agrees_and_more_does_not(organization, connection):
    know(connection, "2026-11-02", "2026-11-02")
    cost(connection, "2026-11-02", "1.0049")
    day_check(connection, "all_cost", "2026-11-02", "1")
    assert check(organization).agrees

    cost(connection, "2026-11-02", "0.0001", product="chat")
    reconciliation = check(organization)
    assert not reconciliation.agrees
    assert reconciliation.difference == Decimal("0.0050")


def test_days_without_a_total_of_their_own_cannot_be_checked(organization, connection):
    know(connection, "2026-11-02", "2026-11-04")
    day_check(connection, "all_cost", "2026-11-02", "0")

    assert check(organization).problem == (
        "Anthropic’s own total is missing for 2 days, so the sum cannot be checked yet."
    )


def test_a_cost_on_a_day_that_is_not_known_is_not_passed_over(organization, connection):
    know(connection, "2026-11-02", "2026-11-02")
    day_check(connection, "all_cost", "2026-11-02", "0")
    cost(connection, "2026-11-03", "1")

    assert "missing for 1 day," in check(organization).problem


def test_nothing_reported_is_said(organization, connection):
    assert check(organization).problem == ("Anthropic has not reported a total for these days yet.")


def test_filters_that_the_provider_has_no_total_for_are_not_checked(organization, connection):
    know(connection, "2026-11-02", "2026-11-02")
    day_check(connection, "all_cost", "2026-11-02", "0")

    assert "no total for these filters" in check(organization, service="chat").problem
    assert not check(organization, billing_account="my-org").problem
    assert not check(organization, provider="Anthropic (Analytics API)").problem


def test_only_costs_have_a_total_to_compare_with(organization, connection):
    assert check(organization, ("list_cost", "requests")) is None


def test_totals_of_other_feeds_measures_and_organizations_do_not_count(organization, connection):
    theirs = make_connection(make_organization("other"))
    know(connection, "2026-11-02", "2026-11-02")
    cost(connection, "2026-11-02", "1")
    day_check(connection, "all_cost", "2026-11-02", "1")
    day_check(connection, "all_cost", "2026-11-02", "7", measure="list_cost")
    day_check(connection, "person_cost", "2026-11-02", "7")
    day_check(theirs, "all_cost", "2026-11-02", "7")

    assert check(organization).reported == 1
