"""`manage.py report`: public interface, so its bytes are held here."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection as database

from reports.catalog.metrics import DIMENSIONS, METRICS
from tests.factories import cost, make_person, usage


@pytest.fixture
def facts(organization, connection):
    ann = make_person(connection, "user_ann", email="ann@example.com", name='Ann "A", B')
    cost(connection, "2026-11-01", "412.80", list_amount="516.00", person=ann, product="chat")
    cost(connection, "2026-11-02", "0.00125", list_amount=None, product="chat", model="opus")
    usage(connection, "2026-11-01", requests=7, output_tokens=12_000, person=ann, product="chat")


def report(*options: str, since: str = "2026-11-01", until: str = "2026-12-01") -> str:
    out = io.StringIO()
    call_command(
        "report",
        "--organization=demo",
        f"--since={since}",
        f"--until={until}",
        *options,
        stdout=out,
    )
    return out.getvalue()


def refusal(*options: str, **window: str) -> str:
    with pytest.raises(CommandError) as caught:
        report(*options, **window)
    assert caught.value.returncode == 2
    return str(caught.value)


def test_csv_is_exact_and_rfc_4180(facts):
    assert report("--metrics=cost,list_cost", "--group-by=day,user_name", "--format=csv") == (
        "day,user_name,cost,list_cost\r\n"
        '2026-11-01,"Ann ""A"", B",412.80,516.00\r\n'
        "2026-11-02,,0.00125,\r\n"
    )


def test_json_has_dollars_as_strings_counts_as_numbers_and_null_for_unknown(facts):
    printed = report(
        "--metrics=cost,list_cost,output_tokens", "--group-by=month,day,sku", "--format=json"
    )

    assert json.loads(printed) == [
        {
            "month": "2026-11",
            "day": "2026-11-01",
            "sku": "",
            "cost": "412.80",
            "list_cost": "516.00",
            "output_tokens": 12_000,
        },
        {
            "month": "2026-11",
            "day": "2026-11-02",
            "sku": "opus",
            "cost": "0.00125",
            "list_cost": None,
            "output_tokens": None,
        },
    ]
    assert list(json.loads(printed)[0]) == [
        "month", "day", "sku", "cost", "list_cost", "output_tokens"
    ]  # fmt: skip


def test_the_table_is_aligned_text(facts):
    assert report("--metrics=cost,list_cost", "--group-by=day,sku") == (
        "day         sku      cost  list_cost\n"
        "2026-11-01         412.80     516.00\n"
        "2026-11-02  opus  0.00125          –\n"
    )


def test_no_grouping_is_one_row_with_the_total(facts):
    assert report("--metrics=output_tokens,cost", "--format=csv") == (
        "output_tokens,cost\r\n12000,412.80125\r\n"
    )


def test_an_empty_report_is_only_a_header(facts):
    nothing = ("--metrics=cost", "--group-by=service", "--where=service=cowork")

    assert report(*nothing, "--format=csv") == "service,cost\r\n"
    assert report(*nothing, "--format=json") == "[]\n"
    assert report(*nothing) == "service  cost\n"


def test_filters_are_one_of_within_and_and_between_dimensions(facts):
    def total(*where: str) -> str:
        options = [f"--where={condition}" for condition in where]
        return report("--metrics=cost", "--format=csv", *options).splitlines()[1]

    assert total("billing_account=my-org") == "412.80125"
    assert total("sku=opus", "sku=") == "412.80125"
    assert total("sku=opus", "service=chat") == "0.00125"
    assert total("project_id=") == "0.00125"
    assert total('user_name=Ann "A", B') == "412.80"


def test_the_day_of_until_is_not_included(facts):
    options = ("--metrics=cost", "--format=csv")

    assert report(*options, until="2026-11-02").splitlines()[1] == "412.80"


def test_exact_amounts_have_no_exponent_and_at_least_two_decimals(organization, connection):
    amounts = {"a": "0.000000000001", "b": "100", "c": "-0.5", "d": "0", "e": "1000000.10"}
    for product, amount in amounts.items():
        cost(connection, "2026-11-01", amount, product=product)

    printed = report("--metrics=cost", "--group-by=service", "--format=csv")

    assert [row[1] for row in csv.reader(io.StringIO(printed))][1:] == [
        "0.000000000001",
        "100.00",
        "-0.50",
        "0.00",
        "1000000.10",
    ]


def test_unknown_names_are_refused_with_the_known_ones(organization):
    assert refusal("--metrics=costs") == (
        f"There is no metric “costs”. Known: {', '.join(METRICS)}."
    )
    assert refusal("--metrics=cost", "--group-by=model") == (
        f"There is no dimension “model”. Known: {', '.join(DIMENSIONS)}."
    )
    times = {"day", "week", "month", "quarter"}
    known = ", ".join(name for name in DIMENSIONS if name not in times)
    assert refusal("--metrics=cost", "--where=model=x") == (
        f"There is no filter “model”. Known: {known}."
    )
    assert refusal("--metrics=cost", "--where=day=2026-11-01").endswith(f"Known: {known}.")
    assert refusal("--metrics=cost", "--where=service").startswith("“service” is not a filter.")
    assert refusal("--metrics=") == f"Name at least one metric. Known: {', '.join(METRICS)}."
    assert "named twice" in refusal("--metrics=cost,cost")


def test_an_unknown_organization_is_refused_with_the_known_ones(organization):
    assert refusal("--metrics=cost", "--organization=demi") == (
        "There is no organization “demi”. Known: demo."
    )


@pytest.mark.parametrize(
    ("since", "until"), [("2026-11-02", "2026-11-02"), ("2026-11-02", "2026-11-01")]
)
def test_a_window_needs_a_day(organization, since, until):
    assert "is not before" in refusal("--metrics=cost", since=since, until=until)


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-02-30", ""])
def test_a_day_must_be_a_day(organization, day):
    assert refusal("--metrics=cost", since=day).startswith(f"“{day}” is not a day (--since).")


@pytest.mark.parametrize("dimension", ["cost_type", "token_type"])
def test_usage_is_never_cut_by_what_it_was_not_counted_by(organization, dimension):
    sentence = "is not available by"

    assert sentence in refusal("--metrics=cost,requests", f"--group-by={dimension}")
    assert sentence in refusal("--metrics=requests", f"--where={dimension}=tokens")


def test_a_value_no_database_can_hold_is_refused(organization):
    assert "an invalid value" in refusal("--metrics=cost", "--where=service=a\x00b")
    assert "an invalid value" in refusal("--metrics=cost", "--where=service=\udcff")


def _shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line against the test database, as a user would."""
    name = database.settings_dict["NAME"]
    url = os.environ["DATABASE_URL"].rpartition("/")[0]
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": f"{url}/{name}",
            "MANAGE": f"{sys.executable} manage.py",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.django_db(transaction=True)
def test_in_a_shell_a_refusal_exits_2_and_a_closed_pipe_is_no_error(organization, connection):
    for number in range(1000):  # more than the 64 KiB that a pipe takes in one go
        cost(connection, "2026-11-01", "1", product=f"{number:099}")
    window = "--since 2026-11-01 --until 2026-12-01"

    refused = _shell(f"$MANAGE report --organization demo --metrics costs {window}")
    cut = _shell(
        f"$MANAGE report --organization demo --metrics cost --group-by service {window}"
        " --format csv | head -n 1"
    )

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "There is no metric “costs”. Known: cost, list_cost" in refused.stderr
    assert (cut.returncode, cut.stdout, cut.stderr) == (0, "service,cost\n", "")
