"""Names that providers allow and pages would break on: shown everywhere, breaking nothing."""

import io

import pytest
from django.urls import reverse
from openpyxl import load_workbook

from reports.catalog import labels
from reports.catalog.metrics import OTHER_KEY
from tests.factories import cost, make_member
from tests.reports.conftest import know

LONG = "W" * 150
ODD = ["Other", "   ", "bell\x07", "turn\u202eed", LONG, "=1+1", "<b>&amp;", "a;=1", "\u2028"]
DAYS = "from=2026-11-01&to=2026-11-02"


@pytest.fixture
def signed_in(client, organization, connection):
    for at, name in enumerate(ODD, start=1):
        cost(connection, "2026-11-01", str(at), model=name)
    know(connection, "2026-11-01", "2026-11-02")
    client.force_login(make_member(organization))
    return client


def get(client, name, query):
    response = client.get(f"{reverse(f'reports:{name}', args=['demo'])}?{DAYS}&{query}")
    assert response.status_code == 200, response.content
    return response


@pytest.mark.parametrize("chart", ["column", "bar", "treemap", "heatmap"])
def test_every_page_and_picture_shows_odd_names(signed_in, chart):
    interval = "interval=day&" if chart in {"column", "heatmap"} else ""
    query = f"{interval}group_by=sku&chart={chart}"

    html = get(signed_in, "explore", query).content.decode()
    picture = b"".join(get(signed_in, "explore_png", query))

    assert picture.startswith(b"\x89PNG")
    assert "Blank name" in html
    assert "\x07" not in html
    assert "\u202e" not in html
    assert "<b>&amp;" not in html


def test_an_item_named_other_differs_from_the_remainder(signed_in):
    html = get(signed_in, "explore", "group_by=sku&show=bottom-1").content.decode()

    assert "\u201cOther\u201d" in html
    assert labels.label("sku", OTHER_KEY) == "Other"
    rows = b"".join(get(signed_in, "explore_csv", "group_by=sku&show=bottom-1").streaming_content)
    assert rows.decode("utf-8-sig").splitlines() == [
        "day,sku,cost",
        "2026-11-01,Other,1.00",
        "2026-11-01,(other),44.00",
    ]


def test_files_hold_the_names_as_text(signed_in):
    book = load_workbook(io.BytesIO(b"".join(get(signed_in, "explore_xlsx", "group_by=sku"))))

    cells = [row[1] for row in book["Report"].iter_rows(min_row=2)]

    assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}
    assert {LONG, "Other", "=1+1"} <= {cell.value for cell in cells}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "No model"),
        ("  \t", "\ufffd"),
        ("   ", "Blank name"),
        ("\u2028", "Blank name"),
        ("a\x00b", "a\ufffdb"),
        ("other", "\u201cother\u201d"),
        ("Opus", "Opus"),
    ],
)
def test_a_name_is_visible(name, shown):
    assert labels.label("sku", name).strip() == shown
