"""Every response is one that the OpenAPI document describes.

Schemathesis generates requests, also invalid ones, and compares the responses with the document.
Its pytest plugin stays off (`-p no:schemathesis`); requests are the same each time.
"""

import json
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from api.v1 import api
from config.wsgi import application
from tests.api.conftest import SECRET
from tests.factories import cost, make_meter, make_person, usage

load_all_checks()
CHECKED = [
    *CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
            "response_headers_conformance",
        ]
    )
]
SCHEMA = schemathesis.openapi.from_dict(
    json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
)
SCHEMA.app = application
OPERATIONS: dict[str, Any] = {
    operation.ok().label: operation.ok()  # type: ignore[union-attr]
    for operation in SCHEMA.get_all_operations()
}


@pytest.fixture
def facts(connection, token, settings):
    settings.API_REQUESTS = 0
    ann = make_person(connection, "user_ann", email="ann@example.com")
    cost(connection, "2026-11-01", "1.25", list_amount=None, person=ann, product="chat")
    cost(connection, "2026-11-02", "2.5", product="cowork")
    usage(connection, "2026-11-01", requests=3, person=ann, product="chat", output_tokens=10)
    make_meter(connection, model="claude-opus-4-6")


@pytest.fixture
def one_transaction():
    """Let the server answer inside the test's transaction, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_the_document_names_every_operation():
    assert set(OPERATIONS) == {
        "GET /api/v1/connections",
        "GET /api/v1/connections/{label}",
        "GET /api/v1/connections/{label}/health",
        "GET /api/v1/metrics",
        "GET /api/v1/dimensions",
        "GET /api/v1/dimensions/{name}/members",
        "GET /api/v1/report",
    }


def test_everybody_may_read_the_document(client: Client):
    response = client.get("/api/v1/openapi.json")

    assert response.status_code == 200
    assert response.json()["info"]["title"] == "Spendglass"


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_of_the_document(facts, one_transaction, label, mode):
    ask_all(OPERATIONS[label].as_strategy(mode))


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", [label for label in OPERATIONS if "{" in label])
def test_every_answer_about_what_exists_is_too(facts, one_transaction, label, mode):
    exists = {"label": "my-org", "name": "service"}
    exists = {name: value for name, value in exists.items() if f"{{{name}}}" in label}
    ask_all(OPERATIONS[label].as_strategy(mode, path_parameters=exists))


def ask_all(cases):
    @seed(20261125)
    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {SECRET}"}, checks=CHECKED)

    ask()
