"""People in reports: one person once, two people of one name twice, unattributed apart."""

from dataclasses import replace

import pytest

from integrations.models import Person
from reports import engine, identity
from reports.catalog import labels
from reports.catalog.metrics import OTHER_KEY
from reports.engine.spec import ReportSpec
from reports.explore import controls
from reports.presets import presets
from tests.factories import cost, make_connection, make_person, usage
from tests.reports.conftest import know

NOVEMBER = "from=2026-11-01&to=2026-11-02"


@pytest.fixture(autouse=True)
def known(connection):
    know(connection, "2026-11-01", "2026-11-02")


@pytest.fixture
def console(organization):
    return make_connection(organization, "console", "claude-console")


@pytest.fixture
def twice(connection, console):
    """Ann in two connections and three spellings, with one id in two of them."""
    ann = make_person(connection, "user_1", email="Ann@Example.com", name="Ann")
    again = make_person(console, "user_2", email="ann@example.COM", name="Ann")
    bare = make_person(console, "user_1", email="", name="")
    for one, amount in ((ann, "1"), (again, "2"), (bare, "4")):
        cost(one.connection, "2026-11-01", amount, person=one)
        usage(one.connection, "2026-11-01", output_tokens=1, person=one)
    know(console, "2026-11-01", "2026-11-02")
    return ann


def ask(organization, query):
    spec = ReportSpec.from_query(f"{query}&{NOVEMBER}", today=None)
    return [(*row.keys, *row.values) for row in engine.run(organization, spec).rows]


def test_the_same_person_of_two_connections_is_one_of_people(organization, twice):
    assert ask(organization, "metrics=people") == [(1,)]
    assert ask(organization, "metrics=cost_per_active_user") == [(7,)]


def test_people_of_groups_are_merged_once_too(organization, twice):
    rows = ask(organization, "metrics=people&group_by=billing_account")

    assert rows == [("console", 1), ("my-org", 1)]


def test_the_spelling_of_an_email_splits_nobody(organization, twice):
    rows = ask(organization, "metrics=cost&group_by=user_email")

    assert rows == [("ann@example.com", 7)]


@pytest.mark.parametrize("spelling", ["Ann@Example.com", "ann@example.com", "ANN@EXAMPLE.COM"])
def test_a_filter_finds_an_email_in_any_spelling(organization, twice, spelling):
    bo = make_person(twice.connection, "user_bo", email="bo@example.com")
    cost(bo.connection, "2026-11-01", "8", person=bo)

    assert ask(organization, f"metrics=cost&user_email={spelling}") == [(7,)]
    assert ask(organization, f"metrics=cost&user_email.not={spelling}") == [(8,)]


def test_the_spelling_of_the_provider_is_kept(twice):
    assert Person.objects.get(pk=twice.pk).email == "Ann@Example.com"


@pytest.fixture
def nameless(connection):
    """Create each kind of person without email, two deleted people, and unattributed cost."""
    people = [
        make_person(connection, "gone_1", state="deleted"),
        make_person(connection, "gone_2", state="deleted"),
        make_person(connection, "bot", kind="service"),
        make_person(connection, "new"),
        None,
    ]
    for person, amount in zip(people, ("1", "2", "4", "8", "16"), strict=True):
        cost(connection, "2026-11-01", amount, person=person)


@pytest.mark.parametrize("dimension", ["user_email", "user_name"])
def test_people_without_email_stay_apart(organization, nameless, dimension):
    rows = ask(organization, f"metrics=cost&group_by={dimension}")

    assert {labels.label(dimension, key): amount for key, amount in rows} == {
        "Not attributed to a user": 16,
        "Deleted accounts": 3,
        "Service identities": 4,
        "Users without an email": 8,
    }


@pytest.mark.parametrize("dimension", ["user_email", "user_name"])
@pytest.mark.parametrize(
    ("value", "expected"), [("", 16), ("deleted account", 3), ("service identity", 4)]
)
def test_each_of_them_can_be_filtered_for(organization, nameless, dimension, value, expected):
    assert ask(organization, f"metrics=cost&{dimension}={value}") == [(expected,)]


def test_the_report_by_person_that_is_built_in_tells_them_apart(organization, nameless):
    (query,) = [preset.query for preset in presets() if preset.name == "Spend by person"]
    query = query.replace("range=30d&", "")

    keys = {row[0] for row in ask(organization, query)}

    assert keys == {"", identity.DELETED, identity.SERVICE, identity.UNKNOWN}


@pytest.fixture
def namesakes(connection):
    """Two people called Ann Lee, one of them without an email, and one called Bo."""
    for external_id, email, name, amount in (
        ("user_1", "Ann@example.com", "Ann Lee", "1"),
        ("user_2", "", "Ann Lee", "2"),
        ("user_3", "bo@example.com", "Bo", "4"),
    ):
        person = make_person(connection, external_id, email=email, name=name)
        cost(connection, "2026-11-01", amount, person=person)


def test_two_people_of_one_name_stay_two(organization, namesakes):
    assert ask(organization, "metrics=cost&group_by=user_name") == [
        ("Ann Lee (ann@example.com)", 1),
        ("Ann Lee (user_2)", 2),
        ("Bo", 4),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("user_name=Ann Lee", 3),
        ("user_name=Ann Lee (user_2)", 2),
        ("user_name.not=Ann Lee (user_2)", 5),
        ("user_name.not=Ann Lee", 4),
        ("user_name.contains=ann@", 1),
        ("user_name=Bo", 4),
    ],
)
def test_namesakes_are_filtered_together_and_apart(organization, namesakes, query, expected):
    assert ask(organization, f"metrics=cost&{query}") == [(expected,)]


def test_one_person_in_two_connections_needs_no_email_behind_the_name(organization, twice):
    rows = ask(organization, "metrics=cost&group_by=user_name")

    assert rows == [("Ann", 7)]


@pytest.mark.parametrize("dimension", ["user_email", "user_name"])
def test_the_picker_offers_what_the_report_groups_by(
    organization, connection, namesakes, nameless, dimension
):
    rows = ask(organization, f"metrics=cost&group_by={dimension}")

    assert set(controls.dimension_values(dimension, [connection])) == {key for key, _ in rows}


@pytest.fixture
def renamed(connection, console):
    """One person of three names, two emails and three ids, and a namesake: 1 + 2 + 4, and 8."""
    rows = (
        (connection, "user_1", "", "Ann Lee"),
        (console, "user_1", "ann@example.com", "Ann"),
        (console, "user_3", "Ann@Example.com", ""),
        (connection, "user_4", "bo@example.com", "Ann Lee"),
    )
    for (where, external_id, email, name), amount in zip(rows, ("1", "2", "4", "8"), strict=True):
        person = make_person(where, external_id, email=email, name=name)
        cost(where, "2026-11-01", amount, person=person)
    know(console, "2026-11-01", "2026-11-02")


@pytest.mark.parametrize(
    ("dimension", "one", "other"),
    [
        ("user_id", "user_1", "user_4"),
        ("project_id", "user_1", "user_4"),
        ("user_email", "ann@example.com", "bo@example.com"),
        ("user_name", "Ann Lee (ann@example.com)", "Ann Lee (bo@example.com)"),
    ],
)
def test_one_person_is_one_row_by_any_dimension(
    organization, connection, console, renamed, dimension, one, other
):
    assert ask(organization, f"metrics=cost&group_by={dimension}") == [(one, 7), (other, 8)]
    assert ask(organization, f"metrics=cost&{dimension}={one}") == [(7,)]
    assert ask(organization, f"metrics=cost&{dimension}.not={one}") == [(8,)]
    assert {*controls.dimension_values(dimension, [connection, console])} == {"", one, other}


@pytest.mark.parametrize("dimension", ["user_id", "project_id"])
def test_any_id_of_a_person_asks_for_all_of_them(organization, renamed, dimension):
    assert ask(organization, f"metrics=cost&{dimension}=user_3") == [(7,)]
    assert ask(organization, f"metrics=cost&{dimension}=user_3&billing_account=console") == [(6,)]


def test_a_person_has_the_same_id_whichever_connection_is_asked(organization, renamed):
    rows = ask(organization, "metrics=cost&group_by=user_id&billing_account=console")

    assert rows == [("user_1", 6)]


def test_files_of_any_size_have_one_row_a_person(organization, renamed):
    spec = ReportSpec.from_query(f"metrics=cost&group_by=user_id&{NOVEMBER}", today=None)

    rows = [(*row.keys, *row.values) for row in engine.stream(organization, spec).rows]

    assert rows == [("user_1", 7), ("user_4", 8)]


def test_a_limit_counts_people_and_not_their_rows(organization, renamed):
    spec = ReportSpec.from_query(f"metrics=cost&group_by=user_id&{NOVEMBER}", today=None)

    rows = engine.run(organization, replace(spec, limit=1)).rows

    assert [(*row.keys, *row.values) for row in rows] == [("user_4", 8), (OTHER_KEY, 7)]


def test_federated_subjects_of_two_connections_are_two(connection, console):
    for one in (connection, console):
        make_person(one, "repo:main", kind="federated")

    assert identity.identities([connection, console]).same == {}


def test_chains_of_ids_and_emails_are_one_person(connection, console):
    one = make_person(connection, "user_1", email="a@example.com")
    two = make_person(console, "user_1", email="b@example.com")
    three = make_person(console, "user_2", email="B@example.com")

    assert identity.identities([connection, console]).same == {two.pk: one.pk, three.pk: one.pk}
