"""Asking by more than one question takes: whatever is refused, the numbers stay the same.

The API here is a ledger of a few lines that refuses on purpose.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.anthropic import comparing
from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.errors import unexpected
from integrations.connectors.anthropic.limits import Learned, Report
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.reports import ReportPage, ReportRow
from integrations.connectors.base import ActionNeeded, AskDifferently, PayloadError
from integrations.window import Window

FIRST, SECOND = date(2026, 11, 16), date(2026, 11, 17)
DAYS = Window(FIRST, date(2026, 11, 18))
EXPORT = datetime(2026, 11, 20, tzinfo=UTC)
NAMES = ("workspace", "key", "model", "tier", "window", "geo")
REPORT = Report(
    name="usage",
    table="usage",
    limit=31,
    filters={"geo": "geos", "window": "windows", "tier": "tiers"},
    nulls={"geo": "not_available"},
    optional=NAMES,
)
PEOPLE = ("account", "service")


@dataclass
class Api:
    """`ledger` holds (day, account, service, *values of NAMES, tokens).

    `largest` is how many buckets times dimensions an answer may hold. `refused` are values of
    filters that are refused, as (parameter, value).
    """

    ledger: list[Any]
    most: int = 99
    largest: int = 9999
    refused: frozenset[Any] = frozenset()
    is_closed: bool = False
    questions: list[Any] = field(default_factory=list)

    def read(self, window, *, group_by, filters, limit):
        self.questions.append((tuple(group_by), dict(filters), limit))
        if (
            self.is_closed
            or len(group_by) > self.most
            or limit * len(group_by) > self.largest
            or any((name, value) in self.refused for name in filters for value in filters[name])
        ):
            raise unexpected("Refused.", status=400)
        nulls = {REPORT.filters[name]: word for name, word in REPORT.nulls.items()}
        wanted = {
            name: {None if value == nulls.get(REPORT.filters[name]) else value for value in values}
            for name in NAMES
            if (values := filters.get(REPORT.filters.get(name)))
        }
        sums = Counter()
        for day, account, service, *values, tokens in self.ledger:
            row = dict(zip((*PEOPLE, *NAMES), (account, service, *values), strict=True))
            if all(row[name] in wanted[name] for name in wanted):
                sums[day, tuple((name, row[name]) for name in group_by)] += tokens
        lines = []
        for (day, named), tokens in sums.items():
            row = dict(named)
            account, service = row.pop("account", None), row.pop("service", None)
            actor = (
                Actor(user_id=account, service_account_id=service) if account or service else None
            )
            lines.append(ReportRow(day, actor, tuple(row.values()), (tokens,)))
        yield ReportPage(tuple(lines), EXPORT, "org")


def asked(api, *, group_by=NAMES, by=(), learned=None, report=REPORT):
    """Return the final rows, however often the query changes on the way."""
    learned = learned or Learned({})
    for _ in range(30):
        try:
            parts = list(Questions(report, learned, api.read).ask(DAYS, group_by=group_by, by=by))
        except AskDifferently:
            continue
        return [line for part in parts for line in part.rows]
    raise AssertionError("never done")


def sums(lines):
    counted = Counter()
    for line in lines:
        assert (line.day, line.values) not in counted or line.actor
        whom = line.actor and (line.actor.user_id or line.actor.service_account_id)
        counted[line.day, whom, line.values] += line.numbers[0]
    return {key: tokens for key, tokens in counted.items() if tokens}


def expected(ledger, *, people=False):
    counted = Counter()
    for day, account, service, *values, tokens in ledger:
        counted[day, (account or service) if people else None, tuple(values)] += tokens
    return dict(counted)


LEDGER = [
    (FIRST, "jane", None, "w1", None, "opus", "standard", "0-200k", "us", 1),
    (FIRST, None, None, "w1", "k1", "opus", "standard", "0-200k", "us", 2),
    (FIRST, None, None, "w1", "k1", "opus", "batch", "200k-1M", "global", 4),
    (FIRST, None, "ci", "w2", "k2", "haiku", "batch", "0-200k", None, 8),
    (SECOND, "jane", None, "w1", None, "opus", None, None, "mars", 16),
    (SECOND, None, None, "w1", "k1", "opus", "standard", None, "global", 32),
]
LINES = st.lists(
    st.tuples(
        st.sampled_from([FIRST, SECOND]),
        st.sampled_from([None, "jane", "omar"]),
        st.sampled_from([None, "ci"]),
        st.sampled_from(["w1", "w2"]),
        st.sampled_from([None, "k1"]),
        st.sampled_from(["opus", "haiku"]),
        st.sampled_from([None, "batch", "standard"]),
        st.sampled_from([None, "0-200k", "200k-1M"]),
        st.sampled_from([None, "us", "mars"]),
        st.integers(1, 10**12),
    ),
    max_size=12,
)


def test_every_dimension_of_every_line_is_kept_with_five_dimensions_a_question():
    api = Api(LEDGER, most=5)

    assert sums(asked(api)) == expected(LEDGER)
    assert {len(names) for names, _, _ in api.questions} == {1, 5}
    # One question finds the regions; each region is one more.
    assert [filters for _, filters, _ in api.questions] == [
        {},
        {"geos": ("not_available",)},
        {"geos": ("global",)},
        {"geos": ("mars",)},
        {"geos": ("us",)},
    ]


def test_people_take_two_dimensions_more_and_their_lines_are_whole():
    api = Api(LEDGER, most=5)
    report = Report(**{**vars(REPORT), "discover_by": PEOPLE})

    people = [line for line in asked(api, by=PEOPLE, report=report) if line.actor]

    assert sums(people) == {key: n for key, n in expected(LEDGER, people=True).items() if key[1]}


@given(ledger=LINES, most=st.sampled_from([2, 3, 4, 5, 99]), people=st.booleans())
def test_any_ledger_within_any_cap_sums_to_its_total(ledger, most, people):
    """With three dimensions that have a filter, six fit into three; below, some are not read."""
    by = PEOPLE if people and most >= 4 else ()
    report = Report(**{**vars(REPORT), "most": most})

    lines = asked(Api(ledger, most=most), by=by, report=report)

    assert sum(line.numbers[0] for line in lines) == sum(line[-1] for line in ledger)
    if most >= 5 or (most >= 3 and not by):
        assert sums(lines) == expected(ledger, people=bool(by))


@given(
    ledger=LINES,
    refused=st.frozensets(
        st.sampled_from([("geos", "us"), ("geos", "mars"), ("tiers", "batch")]), max_size=3
    ),
    most=st.sampled_from([3, 4, 5]),
)
def test_refused_filter_values_change_no_total_and_name_no_wrong_one(ledger, refused, most):
    report = Report(**{**vars(REPORT), "most": most})
    learned = Learned({})

    lines = asked(Api(ledger, most=most, refused=refused), learned=learned, report=report)

    assert sum(line.numbers[0] for line in lines) == sum(line[-1] for line in ledger)
    gone = learned.refused("usage")
    names = {
        name: {*gone[name], *([] if name in REPORT.nulls else [None])} for name in gone
    }  # these are not distinguishable any more

    def shown(values):
        return tuple(
            "not_read" if value in names.get(name, ()) else value
            for name, value in zip(NAMES, values, strict=True)
        )

    wanted = Counter()
    for day, *_, workspace, key, model, tier, window, geo, tokens in ledger:
        wanted[day, None, shown((workspace, key, model, tier, window, geo))] += tokens
    assert sums(lines) == dict(wanted)


def test_a_cap_that_nobody_documents_is_learned_and_kept():
    reported = []
    learned = Learned({}, lambda *what: reported.append(what))
    report = Report(**{**vars(REPORT), "most": None})
    api = Api(LEDGER, most=5)

    assert sums(asked(api, learned=learned, report=report)) == expected(LEDGER)
    assert reported == [("most.usage", "5", "")]
    before = len(api.questions)
    asked(api, learned=Learned(learned.options), report=report)
    assert all(len(names) <= 5 for names, _, _ in api.questions[before:])


def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pages_and_the_size_is_kept():
    learned = Learned({})
    api = Api(LEDGER, most=5, largest=20)  # three buckets of five dimensions

    assert sums(asked(api, learned=learned)) == expected(LEDGER)
    assert learned.options == {"limit.usage": "3"}  # 31, 15, 7, 3


def test_where_no_page_is_small_enough_dimensions_are_left_out_and_say_so():
    learned = Learned({})
    api = Api(LEDGER, most=5, largest=3)

    lines = asked(api, learned=learned)

    assert sum(line.numbers[0] for line in lines) == 63
    # Five did not do: of two and the region, which had given way before, one question is left.
    assert learned.not_read("usage") == ("model", "tier", "window")
    assert {line.values[2:5] for line in lines} == {("not_read",) * 3}
    assert {(line.day, *line.values[:2], line.values[5]): line.numbers[0] for line in lines} == {
        (FIRST, "w1", None, "us"): 1,
        (FIRST, "w1", "k1", "us"): 2,
        (FIRST, "w1", "k1", "global"): 4,
        (FIRST, "w2", "k2", None): 8,
        (SECOND, "w1", None, "mars"): 16,
        (SECOND, "w1", "k1", "global"): 32,
    }


def test_a_closed_report_is_closed_after_two_questions():
    api = Api(LEDGER, is_closed=True)

    with pytest.raises(PayloadError):
        asked(api)
    assert len(api.questions) == 2


def test_what_names_its_reason_is_no_question_of_size():
    def read(window, **asked):
        problem = unexpected("Not enrolled.", status=400)
        problem.code = "organization_not_enrolled_in_beta"
        raise problem

    with pytest.raises(PayloadError) as caught:
        list(Questions(REPORT, Learned({}), read).ask(DAYS))
    assert caught.value.code == "organization_not_enrolled_in_beta"


def test_trouble_with_the_key_stays_trouble_with_the_key():
    def read(window, **asked):
        raise ActionNeeded("No.", status=403)

    with pytest.raises(ActionNeeded):
        list(Questions(REPORT, Learned({}), read).ask(DAYS))


# --- Two versions of one report ---------------------------------------------------------------


@given(ledger=LINES, hidden=st.sampled_from([None, "w2"]))
def test_rows_that_a_version_leaves_out_are_detected_everywhere(ledger, hidden):
    """The workspace stands for a child organization that one version hides in silence."""
    shown = [line for line in ledger if line[3] != hidden]

    older, newer = (
        comparing.nonzero(
            comparing.whole(
                lambda them=them: Api(them).read(DAYS, group_by=(), filters={}, limit=9)
            ),
            list(DAYS),
            lambda line: line.numbers[0],
        )
        for them in (ledger, shown)
    )

    difference = comparing.difference(older, newer)
    left_out = [line for line in ledger if line[3] == hidden]
    assert (difference is not None) == bool(left_out)
    if difference is not None:
        assert difference.day == min(line[0] for line in left_out)
        assert difference.older - difference.newer == sum(
            line[-1] for line in left_out if line[0] == difference.day
        )


@pytest.mark.parametrize(
    ("instants", "days"),
    [
        ((EXPORT, EXPORT), [FIRST, SECOND]),
        ((EXPORT, datetime(2026, 11, 17, 23, 59, tzinfo=UTC)), [FIRST]),
        ((EXPORT, datetime(2026, 11, 16, 23, 59, tzinfo=UTC)), []),
        ((EXPORT, None), []),
    ],
)
def test_only_days_that_had_ended_in_both_exports_are_compared(instants, days):
    assert comparing.settled(DAYS, *instants) == days
