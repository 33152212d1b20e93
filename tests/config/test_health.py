"""`/healthz` names what does not answer, within its time, also when servers are frozen."""

import socket
import time
from contextlib import ExitStack

import pytest
from django.db.backends.postgresql.base import DatabaseWrapper

from config import health

pytestmark = pytest.mark.django_db


@pytest.fixture
def frozen_port():
    """Start a server like a stopped one: the kernel accepts connections and nothing answers."""
    with socket.socket() as server, ExitStack() as clients:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        server.settimeout(0)
        yield server.getsockname()[1]
        while True:  # what waits for an answer ends with the connection
            try:
                clients.enter_context(server.accept()[0])
            except BlockingIOError:
                break


@pytest.fixture
def own_probes(monkeypatch):
    """Probes of this test alone: none waits for a question of another one."""
    probes = tuple(health._Probe(probe.name, probe._ask) for probe in health._PROBES)
    monkeypatch.setattr(health, "_PROBES", probes)


def freeze(names, port, settings, monkeypatch):
    if "redis" in names:
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
    if "database" in names:
        params = DatabaseWrapper.get_connection_params
        monkeypatch.setattr(
            DatabaseWrapper,
            "get_connection_params",
            lambda self: {**params(self), "host": "127.0.0.1", "port": port},
        )


@pytest.mark.parametrize("names", [["database"], ["redis"], ["database", "redis"]])
def test_frozen_servers_are_named_in_time(
    client, frozen_port, own_probes, settings, monkeypatch, names
):
    freeze(names, frozen_port, settings, monkeypatch)
    began = time.monotonic()

    response = client.get("/healthz")

    assert (response.status_code, response.content.decode()) == (503, ", ".join(names))
    assert time.monotonic() - began < health.ANSWER_SECONDS + 10


def test_requests_while_a_server_is_frozen_share_one_question(
    client, frozen_port, own_probes, settings, monkeypatch
):
    asked = []
    ask = health._PROBES[1]._ask
    monkeypatch.setattr(
        health._PROBES[1], "_ask", lambda: asked.append(1) or time.sleep(1) or ask()
    )
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)

    answers = [client.get("/healthz").content for _ in range(3)]

    assert answers == [b"redis"] * 3
    assert asked == [1]


def test_servers_that_answer_again_are_healthy(
    client, frozen_port, own_probes, settings, monkeypatch
):
    with pytest.MonkeyPatch.context() as frozen:
        url = settings.REDIS_URL
        freeze(["redis"], frozen_port, settings, frozen)
        assert client.get("/healthz").status_code == 503
        settings.REDIS_URL = url

    deadline = time.monotonic() + 10  # until the open question has ended
    while (response := client.get("/healthz")).status_code != 200:
        assert time.monotonic() < deadline
    assert response.content == b"ok"
