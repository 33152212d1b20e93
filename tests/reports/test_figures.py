"""How numbers and days are written, and what values are called."""

from datetime import date
from decimal import Decimal

import pytest

from reports.catalog import labels
from reports.catalog.metrics import Unit, exact_usd
from reports.templatetags import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Decimal(0), "$0.00"),
        (Decimal("1234567.895"), "$1,234,567.90"),
        (Decimal("-1.2"), "−$1.20"),
        (Decimal("0.005"), "$0.01"),
        (Decimal("0.0049"), "<$0.01"),
        (Decimal("-0.0049"), "−<$0.01"),
    ],
)
def test_dollars_with_cents(value, text):
    assert figures.usd(value) == text
    assert figures.figure(value, Unit.USD) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Decimal(0), "0"),
        (Decimal("1234.50"), "1,235"),
        (Decimal("0.49"), "<1"),
        (Decimal("-2"), "−2"),
    ],
)
def test_whole_dollars(value, text):
    assert figures.usd_whole(value) == text
    assert figures.cell(value, Unit.USD) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (1_000, "1.0 k"),
        (12_345, "12.3 k"),
        (999_949, "999.9 k"),
        (999_950, "1.0 M"),
        (1_150_000_000, "1.2 B"),
        (2_000_000_000_000, "2.0 T"),
        (-1_500, "−1.5 k"),
    ],
)
def test_large_counts_in_short(value, text):
    assert figures.tokens(value) == text
    assert figures.figure(value, Unit.TOKENS) == text


def test_counts_changes_and_days():
    assert figures.count(1_234_567) == "1,234,567"
    assert figures.cell(1_234, Unit.COUNT) == "1,234"
    assert figures.change(Decimal("0.4149")) == "+41.5%"
    assert figures.change(Decimal("-0.1")) == "−10.0%"
    assert figures.change(Decimal(0)) == "0.0%"
    assert figures.change(None) == "–"
    assert figures.day(date(2026, 11, 2)) == "2 Nov"
    assert figures.day_year(date(2026, 11, 22)) == "22 Nov 2026"
    assert figures.day(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("412.800000000000", "412.80"),
        ("0.001250000000", "0.00125"),
        ("0E-12", "0.00"),
        ("1E+3", "1000.00"),
        ("-0.000000000000", "0.00"),
        ("1.0", "1.00"),
    ],
)
def test_exact_dollars(value, text):
    assert exact_usd(Decimal(value)) == text


def test_products_are_called_by_name_and_new_ones_by_their_own_word():
    assert labels.label("service", "claude_code") == "Claude Code"
    assert labels.label("service", "claude-in-slack") == "Claude Tag (Slack)"
    assert labels.label("service", "claude_hologram") == "claude_hologram"
    assert labels.label("service", "") == "No product"
    assert labels.label("project_id", "") == "Not attributed to a user"
    assert labels.label("context_window", "") == "Not set"


def test_a_product_keeps_its_color_whatever_its_rank():
    assert labels.colors("service", ["chat", "claude_code"]) == {"chat": 2, "claude_code": 1}
    assert labels.colors("service", ["claude_code"]) == {"claude_code": 1}


def test_others_take_what_is_left_and_nothing_is_grey():
    assert labels.colors("service", ["claude_design", "claude_code", "new", ""]) == {
        "claude_design": 2,
        "claude_code": 1,
        "new": 3,
        "": 7,
    }
    assert labels.colors("sku", ["opus", "haiku"]) == {"opus": 1, "haiku": 2}
