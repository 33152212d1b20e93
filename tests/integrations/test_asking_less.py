"""A provider that refuses questions: the import asks for less, and no total changes."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from django.db.models import Sum
from django.utils import timezone

from accounts.models import Organization
from integrations import sync
from integrations.connectors.anthropic.limits import PARENT
from integrations.connectors.base import AskDifferently, NotAvailable
from integrations.connectors.records import NOT_READ
from integrations.data_quality.verification import verify
from integrations.encryption import Secret
from integrations.models import (
    Connection,
    CostFact,
    DayCheck,
    EngagementFact,
    FeedDay,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.window import Window
from sandbox.anthropic.query import ApiError, bad_request
from sandbox.claude_console.api import Sandbox as Console
from sandbox.claude_enterprise.api import Sandbox as Enterprise
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

KEYS = {
    "claude-enterprise": "sk-ant-api01-sandbox-group",
    "claude-console": "sk-ant-admin01-sandbox-my-org",
}
WAYS = [(slug, api_variant) for slug in KEYS for api_variant in ("reports", "successors")]
BETA_FEEDS = ("beta_cost", "beta_usage")
every_way = pytest.mark.parametrize(
    ("slug", "api_variant"), WAYS, ids=["-".join(way) for way in WAYS]
)


class Refusals:
    """Stands before the sandboxes and refuses by `rule`, a function of path and parameters."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.rule = None
        for sandbox in (Console, Enterprise):
            monkeypatch.setattr(sandbox, "answer", self._before(sandbox.answer))

    def _before(self, answer):
        def refuse_or_answer(sandbox, environ, key, headers):
            params = defaultdict(list)
            for name, value in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
                params[name].append(value)
            name = environ["PATH_INFO"].removeprefix("/v1/organizations/")
            self.asked.append((name, params))
            if self.rule and self.rule(name, params):
                raise self.rule(name, params)
            return answer(sandbox, environ, key, headers)

        return refuse_or_answer


@pytest.fixture
def refusals(sandbox, monkeypatch):
    return Refusals(monkeypatch)


def connect(slug, api_variant, keys=KEYS):
    return make_connection(
        make_organization(),
        connector_slug=slug,
        credential=Secret(keys[slug]),
        options={"dialect": api_variant},
    )


def read_one_day(connection):
    """Cost and tokens of a day that nothing restates any more."""
    return read_two_days(connection, days=1)


def read_two_days(connection, wanted=lambda feed: feed.is_metered, days=2):
    """Cost and tokens, or other feeds, of two days that nothing restates any more."""
    end = timezone.now().date() - timedelta(days=60)
    window = Window(end - timedelta(days=days), end)
    feeds = connection.connector.feeds
    read = {feed.name: list(window) if wanted(feed) else [] for feed in feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=read)
    list(sync.run_inline(run, wait=lambda seconds: None))
    return run


def sums():
    """Return stored dollars, tokens, and tokens of people by day."""
    costs = CostFact.objects.values("day").annotate(sum=Sum("effective_cost"))
    tokens = UsageFact.objects.values("day", "person__external_id").annotate(
        sum=Sum("output_tokens")
    )
    return (
        {row["day"]: row["sum"] for row in costs},
        {(row["day"], row["person__external_id"]): row["sum"] for row in tokens if row["sum"]},
    )


def more_than(most, *uncounted):
    """Reject reports of cost and tokens with more dimensions than a limit."""

    def rule(name, params):
        if "cost" in name or "usage" in name:
            counted = [one for one in params["group_by[]"] if one not in uncounted]
            if len(counted) > most:
                return bad_request(f"Cannot specify more than {most} group_by[] dimensions.")
        return None

    return rule


def larger_than(most):
    """Reject responses with more rows than a limit, so that only short pages pass."""

    def rule(name, params):
        if len(params["group_by[]"]) > 1 and int(params["limit"][0]) > most:
            return bad_request("The response is too large.")
        return None

    return rule


def refuse_region(name, params):
    if "us" in params["inference_geos[]"]:
        return bad_request("inference_geos[]: unsupported value 'us'.")
    return None


RULES = {
    "five dimensions, all counted": more_than(5),
    "pages of twenty": larger_than(20),
    "a region": refuse_region,
}


@pytest.mark.parametrize(("slug", "variant"), WAYS, ids=["-".join(way) for way in WAYS])
def test_under_any_cap_of_dimensions_every_total_is_whole(refusals, slug, variant):
    """What a question may name falls from five to one dimension, and the totals do not change."""
    # The other variant would be an escape from what this one refuses.
    only = without_beta if variant == "reports" else lambda rule: rule

    def connect_anew():
        Organization.objects.all().delete()
        connection = connect(slug, variant)
        if (slug, variant) == ("claude-enterprise", "successors"):
            connection.options |= {PARENT: "yes"}  # child organizations are a dimension as well
            connection.save()
        return connection

    read_one_day(connect_anew())
    before = sums()
    assert all(before)
    for most in (5, 4, 3, 2, 1):
        connection = connect_anew()
        refusals.rule = only(more_than(most))

        run = read_one_day(connection)

        states = set(run.windows.values_list("state", flat=True))
        assert states <= {SyncWindow.State.DONE, SyncWindow.State.UNCHANGED}, most
        assert sums() == before, most
        assert all(check.agrees for check in DayCheck.objects.all()), most
        verified = verify(connection)
        assert verified.compared
        assert not verified.differences
        assert not verified.not_compared
        connection.refresh_from_db()
        assert most == 5 or connection.not_read, most


@every_way
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_whatever_is_refused_every_total_is_whole(refusals, slug, api_variant, rule):
    connection = connect(slug, api_variant)
    read_two_days(connection)
    before = sums()
    assert all(before)
    Organization.objects.all().delete()
    connection = connect(slug, api_variant)
    refusals.rule = rule

    run = read_two_days(connection)

    states = set(run.windows.values_list("state", flat=True))
    assert states <= {SyncWindow.State.DONE, SyncWindow.State.UNCHANGED}
    assert sums() == before
    assert all(check.agrees for check in DayCheck.objects.all())
    verified = verify(connection)
    assert verified.compared
    assert not verified.differences
    # What was learned is asked right at once: nothing is refused a second time.
    connection.refresh_from_db()
    refusals.asked.clear()
    with connection.connector.open(sync.access(connection)) as client:
        for feed in connection.connector.feeds:
            if feed.is_metered:
                list(feed.read(client, run.windows.first().window))
    assert not [one for one in refusals.asked if rule(*one)]


def test_a_region_that_cannot_be_asked_for_has_no_name_on_either_side(refusals):
    refusals.rule = refuse_region
    connection = connect("claude-console", "reports")

    read_two_days(connection)

    regions = set(UsageFact.objects.values_list("meter__attributes__inference_geo", flat=True))
    assert NOT_READ in regions
    assert "us" not in regions
    connection.refresh_from_db()
    assert connection.options["refused.usage"] == '{"inference_geo": ["us"]}'
    assert connection.not_read == (
        "Token lines of region us are not separated: Anthropic reports the value, but refuses "
        "queries for it alone. Totals are complete.",
    )
    # People's lines are subtracted from the organization's: none may exceed them.
    assert not DayCheck.objects.exclude(excess=0).exists()


@every_way
def test_where_no_page_is_small_enough_dimensions_are_not_read_and_both_sides_agree(
    refusals, slug, api_variant
):
    """People's questions name more dimensions, so their refusal comes after the other's answer."""

    def rule(name, params):
        if "usage" in name and len(params["group_by[]"]) > 4:
            return bad_request("The response is too large.")
        return None

    refusals.rule = rule
    connection = connect(slug, api_variant)

    read_two_days(connection)

    connection.refresh_from_db()
    assert connection.options["not_read.usage"]
    assert "Token lines are not read by" in connection.not_read[0]
    assert all(check.agrees for check in DayCheck.objects.all())
    assert not DayCheck.objects.exclude(excess=0).exists()
    assert not verify(connection).differences


@every_way
def test_one_closed_endpoint_costs_no_other_its_numbers(refusals, slug, api_variant):
    closed = {"cost": "cost", "usage": "usage"}

    def rule(name, params):
        last = name.rsplit("/", 1)[-1]
        if last in {"usage", "usage_report", "user_usage_report", "messages"}:
            return ApiError(403, "permission_error", "Not for this organization.")
        return None

    refusals.rule = rule
    connection = connect(slug, api_variant)

    run = read_two_days(connection)

    states = {window.feed: window.state for window in run.windows.all()}
    tables = {feed.name: feed.table for feed in connection.connector.feeds}
    for feed, state in states.items():
        is_closed = tables[feed] == closed["usage"]
        assert state == (SyncWindow.State.FAILED if is_closed else SyncWindow.State.DONE)
    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTIVE
    verified = verify(connection)
    assert verified.compared
    assert {gap.feed.table for gap in verified.not_compared} == {"usage"}
    assert CostFact.objects.aggregate(sum=Sum("effective_cost"))["sum"] > Decimal()


def test_the_beta_reports_of_keys_and_people_come_in_smaller_pages_if_need_be(refusals):
    connection = connect("claude-console", "reports")
    end = timezone.now().date() - timedelta(days=60)
    window = Window(end - timedelta(days=2), end)

    def read():
        """Documents of both feeds, as the sums of their numbers by day and label."""
        sums = defaultdict(Decimal)
        with connection.connector.open(sync.access(connection)) as client:
            for name in ("beta_cost", "beta_usage"):
                for page in whole_read(connection.connector.feed(name), client, window):
                    for record in page.records:
                        for path, number in record.values.items():
                            sums[record.day, record.subject, path] += number
        return sums

    before = read()
    assert before
    refusals.rule = larger_than(20)

    assert read() == before


def whole_read(feed, client, window):
    """All pages, asked again as often as the question has to be a smaller one."""
    for _ in range(20):
        try:
            return list(feed.read(client, window))
        except AskDifferently:
            continue
    raise AssertionError("never done")


# --- Endpoints that are no reports -----------------------------------------------------------

NAMES_GROUPS = "sk-ant-api01-sandbox-my-org"


@pytest.mark.parametrize("slug", KEYS)
def test_activity_and_lists_come_in_smaller_pages_if_need_be(refusals, slug):
    """What holds a thousand rows a page elsewhere holds twenty here."""

    def rule(name, params):
        if params["limit"] and int(params["limit"][0]) > 20 and not params["bucket_width"]:
            return bad_request("The response is too large.")
        return None

    feeds = {
        "claude-enterprise": ("users", "skills", "groups", "group_activity"),
        "claude-console": ("workspaces", "api_keys", "members", "claude_code"),
    }[slug]
    end = timezone.now().date() - timedelta(days=9)
    window = Window(end - timedelta(days=1), end)

    def read(connection):
        answers = []
        with connection.connector.open(sync.access(connection)) as client:
            for name in feeds:
                for page in connection.connector.feed(name).read(client, window):
                    answers += [*page.records, *page.resources, *page.people]
            return answers, client.learned.options

    connection = connect(slug, "reports", KEYS | {"claude-enterprise": NAMES_GROUPS})
    before, learned = read(connection)
    assert before
    assert learned == connection.options
    refusals.rule = rule

    answers, learned = read(connection)

    assert sorted(map(repr, answers)) == sorted(map(repr, before))
    limits = {name: text for name, text in learned.items() if name.startswith("limit.")}
    assert limits
    assert set(limits.values()) == {"15"}  # 1000, 500, 250, 125, 62, 31, 15
    connection.options = learned
    refusals.asked.clear()
    assert sorted(map(repr, read(connection)[0])) == sorted(map(repr, before))
    assert not [one for one in refusals.asked if rule(*one)]


@pytest.mark.parametrize("slug", KEYS)
def test_days_that_are_not_available_are_asked_for_twice_and_no_more(refusals, slug):
    refusals.rule = lambda name, params: (
        bad_request("Too recent.") if name.endswith(("users", "claude_code")) else None
    )
    feed = {"claude-enterprise": "users", "claude-console": "claude_code"}[slug]
    connection = connect(slug, "reports")
    day = timezone.now().date() - timedelta(days=9)

    with (
        connection.connector.open(sync.access(connection)) as client,
        pytest.raises(NotAvailable),
    ):
        list(connection.connector.feed(feed).read(client, Window.last(1, today=day)))

    assert [params["limit"] for _, params in refusals.asked] == [["1000"], ["1"]]
    assert client.learned.options == connection.options


# --- What was refused may be open again --------------------------------------------------------


def read_open_days(connection):
    """Cost and tokens of two days that can still change, like a refresh."""
    end = timezone.now().date() - timedelta(days=5)
    window = Window(end - timedelta(days=2), end)
    feeds = connection.connector.feeds
    days = {feed.name: list(window) if feed.is_metered else [] for feed in feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    list(sync.run_inline(run, wait=lambda seconds: None))
    connection.refresh_from_db()
    return run


def stored_by_dimension():
    """Return what is stored by all dimensions."""
    return [
        sorted(
            (day, region or "", *rest)
            for day, region, *rest in model.objects.values_list(
                "day", "meter__attributes__inference_geo", "meter__model", number
            )
        )
        for model, number in ((CostFact, "effective_cost"), (UsageFact, "output_tokens"))
    ]


def most_of_tokens(name, params):
    if "usage" in name and len(params["group_by[]"]) > 4:
        return bad_request("The response is too large.")
    return None


def five_and_no_region(name, params):
    return more_than(5)(name, params) or refuse_region(name, params)


def without_beta(rule):
    """Close the beta endpoints to this organization."""

    def closed_or(name, params):
        if name in {"analytics/cost", "analytics/usage"}:
            return bad_request("Not enrolled.")
        return rule(name, params)

    return closed_or


NO_PARENT = KEYS | {"claude-enterprise": "sk-ant-api01-sandbox-campus"}
AGAIN = [
    ("claude-enterprise", "reports", five_and_no_region, "refused."),
    ("claude-enterprise", "successors", most_of_tokens, "not_read."),
    ("claude-console", "reports", larger_than(20), "limit."),
    ("claude-console", "successors", refuse_region, "refused."),
]


@pytest.mark.parametrize(("slug", "api_variant", "rule", "option"), AGAIN)
def test_what_is_answered_again_is_read_again_without_anybody_testing(
    refusals, slug, api_variant, rule, option
):
    today = timezone.now().date()
    ways = without_beta if api_variant == "reports" else lambda rule: rule
    connection = connect(slug, api_variant, NO_PARENT)
    read_open_days(connection)
    whole = stored_by_dimension()
    Organization.objects.all().delete()
    connection = connect(slug, api_variant, NO_PARENT)
    refusals.rule = ways(rule)
    read_open_days(connection)
    learned = {name: text for name, text in connection.options.items() if option in name}
    assert learned

    sync.compare_ways(connection, today=today)

    connection.refresh_from_db()
    assert connection.options.items() >= learned.items()
    assert sync.due_for_comparison(today) == []
    refusals.rule = ways(lambda name, params: None)

    sync.compare_ways(connection, today=today + timedelta(days=1))

    connection.refresh_from_db()
    assert not [name for name in connection.options if option in name]
    assert connection.not_read == ()
    read_open_days(connection)
    assert stored_by_dimension() == whole


@pytest.mark.parametrize(
    ("slug", "variant", "rule", "tables"),
    [
        ("claude-enterprise", "reports", five_and_no_region, {"cost"}),
        ("claude-enterprise", "successors", most_of_tokens, {"usage"}),
        ("claude-console", "successors", refuse_region, {"usage"}),
    ],
)
def test_older_days_are_read_again_once_when_a_refused_dimension_is_answered(
    refusals, slug, variant, rule, tables
):
    """Days that no refresh reads any more: they would lack the dimension for ever."""
    today = timezone.now().date()
    ways = without_beta if variant == "reports" else lambda rule: rule
    connection = connect(slug, variant, NO_PARENT)
    read_two_days(connection)
    whole = stored_by_dimension()
    Organization.objects.all().delete()
    connection = connect(slug, variant, NO_PARENT)
    refusals.rule = ways(rule)
    days = read_two_days(connection)
    assert stored_by_dimension() != whole
    assert queued(connection, days) == set()
    refusals.rule = ways(lambda name, params: None)

    sync.compare_ways(connection, today=today)

    feeds = connection.connector.feeds
    assert queued(connection, days) == {
        (feed.name, day)
        for feed in feeds
        if feed.is_metered and feed.table in tables
        for day in Window(days.start, days.end)
    }
    read_two_days(connection)  # as those windows do
    assert stored_by_dimension() == whole
    assert all(check.agrees for check in DayCheck.objects.all())
    sync.compare_ways(connection, today=today + timedelta(days=1))
    assert queued(connection, days) == set()


def queued(connection, days):
    """Which of these days the next refresh reads, by feed of cost or tokens."""
    connection.refresh_from_db()
    run = sync.plan_refresh(connection, today=timezone.now().date())
    windows = list(run.windows.all())
    run.delete()
    metered = {feed.name for feed in connection.connector.feeds if feed.is_metered}
    return {
        (window.feed, day)
        for window in windows
        if window.feed in metered
        for day in window.window
        if day in Window(days.start, days.end)
    }


def refuse(*regions):
    """Regions that the API reports, but does not answer for."""

    def rule(name, params):
        if {*regions} & {*params["inference_geos[]"]}:
            return bad_request("inference_geos[]: unsupported value.")
        return None

    return rule


def test_older_days_do_not_wait_for_the_last_of_several_refused_values(refusals):
    """Of two refused regions each is read when it is answered, and not once more before that."""
    today = timezone.now().date()
    connection = connect("claude-console", "reports")
    refusals.rule = without_beta(refuse("us", "global"))
    days = read_two_days(connection)
    assert regions() == {"", NOT_READ}
    connection.refresh_from_db()

    refusals.rule = without_beta(refuse("us"))
    sync.compare_ways(connection, today=today)

    both = {
        (feed, day) for feed in ("usage", "people_usage") for day in Window(days.start, days.end)
    }
    assert queued(connection, days) == both
    read_two_days(connection)
    assert regions() == {"", "global", NOT_READ}
    sync.compare_ways(connection, today=today + timedelta(days=1))
    assert queued(connection, days) == set()

    refusals.rule = without_beta(lambda name, params: None)
    sync.compare_ways(connection, today=today + timedelta(days=2))

    assert queued(connection, days) == both
    read_two_days(connection)
    assert regions() == {"", "global", "us"}


def regions():
    stored = UsageFact.objects.values_list("meter__attributes__inference_geo", flat=True)
    return {region or "" for region in stored}


def no_products(name, params):
    """Limit endpoints of people's usage to one dimension."""
    return more_than(1)("usage", params) if name.endswith(ITEM_FEEDS) else None


CUTS_ARTIFACTS = {"claude-enterprise": "sk-ant-api01-sandbox-labs"}
ITEM_FEEDS = ("skills", "connectors", "plugins", "artifacts")


def test_what_people_used_is_read_by_product_again_when_that_is_answered(refusals):
    today = timezone.now().date()
    end = today - timedelta(days=60)
    window = Window(end - timedelta(days=1), end)

    def read(connection):
        days = {
            feed.name: list(window) if feed.name in {*ITEM_FEEDS, "skills_by_person"} else []
            for feed in connection.connector.feeds
        }
        run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
        list(sync.run_inline(run, wait=lambda seconds: None))
        unread = run.windows.exclude(state__in=[SyncWindow.State.DONE, SyncWindow.State.UNCHANGED])
        assert not unread.exists()
        connection.refresh_from_db()

    def used():
        """Documents by person and product, and their sums by person."""
        documents, by_person = [], defaultdict(Decimal)
        for feed, item, person, service, values in EngagementFact.objects.filter(
            feed__endswith="_by_person"
        ).values_list("feed", "labels__item", "person__external_id", "labels__service", "values"):
            documents.append((feed, item, person, service, sorted(values)))
            for path, number in values.items():
                by_person[feed, item, person, path] += Decimal(str(number))
        return sorted(documents, key=str), by_person

    connection = connect("claude-enterprise", "reports", CUTS_ARTIFACTS)
    read(connection)
    documents, by_person = used()
    assert documents
    Organization.objects.all().delete()
    connection = connect("claude-enterprise", "reports", CUTS_ARTIFACTS)
    refusals.rule = without_beta(no_products)
    read(connection)

    less, by_person_then = used()
    assert {service for *_, service, _ in less} == {NOT_READ}
    assert {key: n for key, n in by_person_then.items() if "distinct" not in key[-1]} == {
        key: n for key, n in by_person.items() if "distinct" not in key[-1]
    }
    assert [one.partition(" by person")[0] for one in connection.not_read] == [
        *("Artifacts", "Connectors", "Plugins", "Skills")
    ]
    FeedDay.objects.update(state=FeedDay.State.FINAL)
    sync.compare_ways(connection, today=today)  # refused still
    connection.refresh_from_db()
    assert len(connection.not_read) == 4
    assert not FeedDay.objects.filter(state=FeedDay.State.PROVISIONAL).exists()

    refusals.rule = without_beta(lambda name, params: None)
    sync.compare_ways(connection, today=today + timedelta(days=1))

    connection.refresh_from_db()
    assert connection.not_read == ()
    again = FeedDay.objects.filter(state=FeedDay.State.PROVISIONAL)
    assert set(again.values_list("feed", "day")) == {
        (feed, window.start) for feed in ("skills_by_person", *ITEM_FEEDS[1:])
    }
    read(connection)
    assert used() == (documents, by_person)


def test_days_that_are_refused_again_are_queued_once_a_month(refusals):
    connection = connect("claude-console", "successors")
    refusals.rule = refuse_region
    read_two_days(connection)
    refusals.rule = None
    today = timezone.now().date()

    def is_queued(day):
        connection.refresh_from_db()
        FeedDay.objects.update(state=FeedDay.State.FINAL)  # as if a read had ended as before
        sync.compare_ways(connection, today=day)
        return FeedDay.objects.filter(state=FeedDay.State.PROVISIONAL).exists()

    assert is_queued(today)
    assert not is_queued(today + timedelta(days=29))
    assert is_queued(today + timedelta(days=30))


def test_what_does_not_answer_in_time_stays_refused(refusals):
    today = timezone.now().date()
    connection = connect("claude-console", "reports")
    refusals.rule = refuse_region
    read_open_days(connection)
    learned = connection.options["refused.usage"]

    def rule(name, params):
        if params["inference_geos[]"]:
            return ApiError(403, "permission_error", "Not now.")
        return None

    refusals.rule = rule
    sync.compare_ways(connection, today=today)

    connection.refresh_from_db()
    assert connection.options["refused.usage"] == learned


def test_a_feed_that_is_closed_by_400_has_the_connection_tested_once(refusals, monkeypatch):
    connection = connect("claude-console", "reports")
    tests = []
    probe = type(connection.connector).probe
    monkeypatch.setattr(
        type(connection.connector),
        "probe",
        lambda *args, **more: tests.append(args) or probe(*args, **more),
    )
    refusals.rule = without_beta(
        lambda name, params: (
            bad_request("Not for this organization.") if name.endswith("messages") else None
        )
    )
    start = timezone.now().date() - timedelta(days=100)
    window = Window(start, start + timedelta(days=93))  # three windows of a feed
    days = {feed.name: [] for feed in connection.connector.feeds} | {"usage": list(window)}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)

    list(sync.run_inline(run, wait=lambda seconds: None))

    states = run.windows.filter(feed="usage").values_list("state", flat=True)
    assert list(states) == [SyncWindow.State.FAILED] * 3
    assert len(tests) == 1


def beta_sums():
    """Dollars, and tokens of every kind, day by day, from the documents by key and person."""
    sums = defaultdict(Decimal)
    documents = EngagementFact.objects.filter(feed__in=BETA_FEEDS)
    for day, feed, values in documents.values_list("day", "feed", "values"):
        for name, number in values.items():
            sums[day, feed, name] += Decimal(str(number))
    return sums


@pytest.mark.parametrize("most", [4, 3, 2, 1])
def test_beta_reports_under_any_cap_keep_their_sums(refusals, most):
    """A report by key, person, workspace, product and model is read by fewer of them."""

    def read():
        connection = connect("claude-console", "successors")
        run = read_two_days(connection, lambda feed: feed.name in BETA_FEEDS)
        assert {one.state for one in run.windows.all()} == {SyncWindow.State.DONE}
        return connection

    read()
    whole = beta_sums()
    assert whole
    Organization.objects.all().delete()
    refusals.rule = more_than(most)
    capped = read()

    assert beta_sums() == whole
    capped.refresh_from_db()
    sentences = " ".join(capped.connector.not_read(capped.options))
    assert "Beta cost lines are not read by" in sentences
    assert "Beta token lines are not read by" in sentences
