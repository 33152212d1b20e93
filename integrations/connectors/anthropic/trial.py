"""Send the questions of an import before there is one, so that a refusal shows at once."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.limits import listed, missing
from integrations.connectors.base import (
    AskDifferently,
    Check,
    ConnectorError,
    Feed,
    NotAvailable,
    SnapshotMoved,
    TransientError,
)
from integrations.connectors.records import Page, TotalRecord
from integrations.window import Window

LABEL = "Queries of the import"
_DAYS = 3
_LONGEST_DAYS = 31  # of one window of an import
_MOST_REFUSALS = 20  # of one feed: each leads to a smaller question


def try_out(client: ApiClient, feeds: Iterable[Feed], today: date) -> Check:
    """Ask what each cost and token feed asks, until its first lines arrive.

    The client learns on the way what has to be asked differently. Where something was refused
    before, days are asked for as imports do: whether an answer is too large depends on them.
    """
    again = client.learned.is_starting_over
    window = Window(today - timedelta(days=_LONGEST_DAYS if again else _DAYS), today)
    refused, waiting = [], []
    for feed in feeds:
        # What reports beside the metered ones do not read is learned by the names of feeds.
        if feed.is_metered or client.learned.left_out_before(feed.name):
            try:
                _read_first_lines(partial(feed.read, client, window))
            except (NotAvailable, SnapshotMoved):
                pass  # no data yet, or new data right now: the question was accepted
            except TransientError:
                waiting.append(feed.label)
            except ConnectorError as exc:
                refused.append(f"{feed.label} ({exc.status or 'unreadable answer'})")
    if again and (refused or waiting):
        client.learned.restore()
    sentences = list(missing(client.learned.options))
    if refused:
        sentences.append(f"Anthropic does not answer for {listed(refused)}.")
    if waiting:
        sentences.append(f"Not known yet for {listed(waiting)}: Anthropic did not answer in time.")
    if refused or missing(client.learned.options):
        return Check(LABEL, "limited", " ".join(sentences))
    if sentences:
        return Check(LABEL, "info", " ".join(sentences))
    return Check(LABEL, "passed", "Cost and tokens are available by all dimensions.")


def _read_first_lines(read: Callable[[], Iterator[Page]]) -> None:
    for _ in range(_MOST_REFUSALS):
        try:
            for page in read():
                if any(not isinstance(record, TotalRecord) for record in page.records):
                    return
        except AskDifferently as exc:
            problem: Any = exc
        else:
            return
    raise problem
