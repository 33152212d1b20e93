"""An answer takes no more bytes, objects, nesting and seconds than it may, however it is made."""

import gzip
import json
import os
import subprocess
import sys
import time
import zlib

import pytest

from integrations.connectors.anthropic import reading
from integrations.connectors.anthropic.reading import Bounds
from integrations.connectors.base import Access, PayloadError, TransientError
from integrations.connectors.claude_console import ClaudeConsole
from tests.integrations.connectors.wire import RawServer

KEY = "sk-ant-admin01-" + "Zx9_Yw8-" * 8
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: req_1\r\n"


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def ask(monkeypatch):
    """GET from an address within some bounds; what would take a minute takes a second."""

    def ask_one(url, **bounds):
        limits = Bounds(**{"seconds": 1.0, **bounds})
        monkeypatch.setattr(
            "integrations.connectors.anthropic.client.Bounds", lambda seconds: limits
        )
        with ClaudeConsole().open(Access(key=KEY, base_url=url)) as client:
            return client.get("/v1/x", [], lambda body, kept_out: body)

    return ask_one


def sized(body, *headers):
    lines = b"".join(header + b"\r\n" for header in headers)
    return HEAD + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def once(content):
    def answer(connection):
        connection.sendall(content)

    return answer


# --- Seconds -------------------------------------------------------------------------------


def drip(connection, content, *, slowly):
    connection.sendall(content)
    for byte in slowly:
        time.sleep(0.05)
        connection.sendall(bytes([byte]))
    return "close"


@pytest.mark.parametrize(
    ("content", "slowly"),
    [
        (HEAD + b"Content-Length: 5000\r\n\r\n", b" " * 5000),
        (HEAD + b"\r\n", b" " * 5000),  # ends with the connection
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 500),
        (HEAD + b"x-more: ", b"y" * 5000),
        (b"", HEAD * 50),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500),
    ],
    ids=["body", "no-length", "chunks", "header", "from-the-first-byte", "informational"],
)
def test_an_answer_that_drips_ends_at_its_deadline(serve, ask, content, slowly):
    server = serve(lambda connection: drip(connection, content, slowly=slowly))
    started = time.monotonic()

    with pytest.raises(TransientError) as caught:
        ask(server.url)

    assert time.monotonic() - started < 30
    assert str(caught.value) == "Anthropic's answer was not complete after 1 seconds."
    assert caught.value.repair == "Try again in a few minutes."
    assert caught.value.code == "outage"
    assert caught.value.__context__ is None  # exceptions of httpx know the key
    assert len(server.requests) == 1


def test_a_deadline_counts_anew_for_each_request_of_a_connection(serve, monkeypatch):
    answers = iter([sized(b"{}"), sized(b"[]")])
    server = serve(
        lambda connection: (
            connection.sendall(next(answers))
            if len(server.requests) < 3
            else drip(connection, b"", slowly=HEAD * 50)
        )
    )
    monkeypatch.setattr(
        "integrations.connectors.anthropic.client.Bounds", lambda seconds: Bounds(1.0)
    )

    with ClaudeConsole().open(Access(key=KEY, base_url=server.url)) as client:
        assert client.get("/v1/x", [], lambda body, kept_out: body) == b"{}"
        time.sleep(0.7)
        assert client.get("/v1/x", [], lambda body, kept_out: body) == b"[]"
        time.sleep(0.7)  # the first deadline has passed by now, and must not end the connection
        with pytest.raises(TransientError, match="not complete after 1 seconds"):
            client.get("/v1/x", [], lambda body, kept_out: body)


# --- Bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"GZIP"])
def test_a_packed_answer_is_unpacked(serve, ask, encoding):
    body = gzip.compress(b'{"data": []}')

    assert ask(serve(once(sized(body, b"Content-Encoding: " + encoding))).url) == b'{"data": []}'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (sized(b" " * 3000), "is larger than any that is documented"),
        (HEAD + b"\r\n" + b" " * 3000, "is larger than any that is documented"),
        (
            sized(gzip.compress(b" " * 3000), b"Content-Encoding: gzip"),
            "is larger than any that is documented",
        ),
        (
            sized(gzip.compress(gzip.compress(b" " * 9)), b"Content-Encoding: gzip, gzip"),
            "is compressed in a way that was not asked for",
        ),
        (sized(b"?", b"Content-Encoding: br"), "is compressed in a way that was not asked for"),
        (sized(b"?", b"Content-Encoding: zstd"), "is compressed in a way that was not asked for"),
        (sized(b"[" * 65 + b"]" * 65), "nests deeper than any that is documented"),
        (sized(b'{"a":' * 65 + b"1" + b"}" * 65), "nests deeper than any that is documented"),
        (sized(b"[" * 1200), "nests deeper than any that is documented"),
        (sized(b"[" + b"{}," * 900 + b"{}]"), "holds more objects than any that is documented"),
    ],
)
def test_an_answer_beyond_its_bounds_is_refused(serve, ask, content, problem):
    bounds = {"wire_bytes": 5000, "unpacked_bytes": 2999, "objects": 1300}
    if b"{}," in content:
        bounds["objects"] = 900

    with pytest.raises(PayloadError) as caught:
        ask(serve(once(content)).url, **bounds)

    assert str(caught.value) == f"Anthropic's answer {problem}, so it was not read."
    assert "report it with the request ID" in caught.value.repair
    assert caught.value.request_id == "req_1"


def test_an_error_is_read_within_the_same_bounds(serve, ask):
    content = sized(b" " * 3000).replace(b"200 OK", b"401 Unauthorized")

    with pytest.raises(PayloadError, match="is larger than any"):
        ask(serve(once(content)).url, unpacked_bytes=2999)


def test_headers_are_bounded(serve, ask):
    content = HEAD + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(500)) + b"\r\n{}"

    with pytest.raises(TransientError):
        ask(serve(once(content)).url, seconds=20)


def test_broken_packing_is_a_sentence(serve, ask):
    with pytest.raises(PayloadError, match=r"could not be read \(DecodingError\)"):
        ask(serve(once(sized(b"no gzip at all", b"Content-Encoding: gzip"))).url)


def test_only_what_we_unpack_is_asked_for(serve, ask):
    server = serve(once(sized(b"{}")))

    ask(server.url)

    assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()


@pytest.mark.parametrize(
    ("document", "limit", "is_deeper"),
    [
        ({"a": [{"b": [1, 2, "]]]["]}]}, 4, False),
        ({"a": [{"b": [1, 2, "]]]["]}]}, 3, True),
        ({"a": '"[[[[['}, 1, False),
        ([[]] * 50, 2, False),
        ([[]] * 50, 1, True),
        ({'"': {"\\": {}}}, 3, False),
        ({'"': {"\\": {}}}, 2, True),
    ],
)
def test_nesting_counts_brackets_but_not_those_in_strings(document, limit, is_deeper):
    assert reading._is_deeper(json.dumps(document).encode(), limit) is is_deeper


# --- Redirects -------------------------------------------------------------------------------


def test_the_key_does_not_follow_a_redirect(serve, ask):
    elsewhere = serve(once(sized(b"{}")))
    content = sized(b"", b"Location: " + elsewhere.url.encode())
    server = serve(once(content.replace(b"200 OK", b"302 Found")))

    with pytest.raises(PayloadError, match=r"answered with a redirect \(302\)"):
        ask(server.url)

    assert elsewhere.requests == []


# --- Memory ----------------------------------------------------------------------------------

READ = """
import resource, sys
import django
django.setup()
from integrations.connectors.base import Access, ConnectorError
from integrations.connectors.claude_console import ClaudeConsole

with ClaudeConsole().open(Access(key="sk-ant-admin01-x", base_url=sys.argv[1])) as client:
    try:
        client.get("/v1/warm", [], lambda body, kept_out: body)
    except ConnectorError:
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        try:
            client.get("/v1/bomb", [], lambda body, kept_out: body)
        except ConnectorError as exc:
            print(exc)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def bomb(gigabytes):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * 10_000_000
    return b"".join(packer.compress(piece) for _ in range(100 * gigabytes)) + packer.flush()


def test_a_small_bomb_costs_no_more_than_an_answer(serve):
    packed = bomb(1)
    assert len(packed) < 1_100_000
    content = sized(packed, b"Content-Encoding: gzip")
    server = serve(
        lambda connection: connection.sendall(
            content if b"/v1/bomb" in server.requests[-1] else sized(b"{}")
        )
    )

    done = subprocess.run(
        [sys.executable, "-c", READ, server.url],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    *sentences, kilobytes = done.stdout.splitlines()
    assert (
        sentences
        == ["Anthropic's answer is larger than any that is documented, so it was not read."] * 3
    )
    assert int(kilobytes) < 150_000
