"""A bad or missing setting is a system check with a hint, not a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIALS_KEYS")
ROOT = Path(__file__).resolve().parents[2]


def check(**changed):
    """Run `manage.py check` with these variables changed; None removes one."""
    environment = {**os.environ, **{n: v for n, v in changed.items() if v is not None}}
    for name, value in changed.items():
        if value is None:
            environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", None, "SECRET_KEY is not set."),
        ("CREDENTIALS_KEYS", None, "CREDENTIALS_KEYS is not set"),
        ("CREDENTIALS_KEYS", "hunter2", "Key 1 of CREDENTIALS_KEYS is not a Fernet key."),
        ("DATABASE_URL", "sqlite:///db.sqlite3", "DATABASE_URL does not name a PostgreSQL"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL"),
        ("REDIS_URL", "nonsense", "REDIS_URL is not the address of a Redis."),
        ("ANTHROPIC_BASE_URL", "nonsense", "ANTHROPIC_BASE_URL is not an http or https address."),
        ("ANTHROPIC_BASE_URL", "http://example.com", "over a network unencrypted"),
        ("ANTHROPIC_REQUESTS_PER_MINUTE", "-1", "ANTHROPIC_REQUESTS_PER_MINUTE is negative."),
        ("ANTHROPIC_REQUESTS_PER_MINUTE", "many", "ANTHROPIC_REQUESTS_PER_MINUTE cannot be read."),
        ("DEBUG", "perhaps", "DEBUG cannot be read."),
        ("EMAIL_URL", "pigeon://hunter2@loft", "EMAIL_URL cannot be read."),
        ("EMAIL_URL", "smtp+tls://u:hunter2@mail.example.com:x", "EMAIL_URL cannot be read."),
        ("EMAIL_URL", "smtp://localhost", "EMAIL_URL is set and BASE_URL is not"),
        ("EMAIL_URL", "smtp://localhost", "DEFAULT_FROM_EMAIL is not an address to send from."),
        ("BASE_URL", "spendglass.example.com", "BASE_URL is not an http or https address."),
        ("HSTS_PRELOAD", "true", "HSTS_PRELOAD is set, and HSTS_INCLUDE_SUBDOMAINS"),
        ("SECURITY_CONTACT", "security@example.com", "SECURITY_CONTACT is not an https"),
    ],
)
def test_a_bad_setting_is_a_sentence_with_a_hint(name, value, sentence):
    done = check(**{name: value})

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "HINT" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_good_settings_pass():
    assert check().returncode == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+tls://ada:p%40ss@mail.example.com", "mail.example.com 587 ada p@ss True False"),
        ("smtp+ssl://ada:x@mail.example.com", "mail.example.com 465 ada x False True"),
        ("smtp://localhost:1025", "localhost 1025   False False"),
    ],
)
def test_one_address_names_the_mail_server(url, expected):
    code = (
        "from django.conf import settings as s; print(s.EMAIL_HOST, s.EMAIL_PORT, "
        "s.EMAIL_HOST_USER, s.EMAIL_HOST_PASSWORD, s.EMAIL_USE_TLS, s.EMAIL_USE_SSL)"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env={
            **os.environ,
            "EMAIL_URL": url,
            "BASE_URL": "https://spendglass.example.com/",
            "DEFAULT_FROM_EMAIL": "Spendglass <spendglass@example.com>",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == expected
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"HTTPS": "true"}, "False False ('HTTP_X_FORWARDED_PROTO', 'https')"),
        ({"HTTPS": "true", "TRUSTED_PROXIES": "0"}, "False False None"),
        ({"HTTPS": "false"}, "False False None"),
        (
            {"HTTPS": "true", "HSTS_INCLUDE_SUBDOMAINS": "true", "HSTS_PRELOAD": "true"},
            "True True ('HTTP_X_FORWARDED_PROTO', 'https')",
        ),
    ],
)
def test_the_operator_decides_on_hsts_and_proxies(changed, expected):
    code = (
        "from django.conf import settings as s; print(s.SECURE_HSTS_INCLUDE_SUBDOMAINS, "
        "s.SECURE_HSTS_PRELOAD, s.SECURE_PROXY_SSL_HEADER)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **changed},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == expected


def test_the_web_server_does_not_start_on_bad_settings():
    done = subprocess.run(
        [sys.executable, "-c", "import config.wsgi"],
        cwd=ROOT,
        env={**os.environ, "SECRET_KEY": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "SECRET_KEY is not set." in done.stderr
    assert "Traceback" not in done.stderr


def test_manage_py_in_a_second_shell_has_the_settings_of_the_run(tmp_path):
    (tmp_path / "run.env").write_text("".join(f"{n}={os.environ[n]}\n" for n in SHARED))
    environment = {n: v for n, v in os.environ.items() if n not in SHARED}
    code = "from django.conf import settings; print(settings.REDIS_URL)"

    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env={**environment, "SPENDGLASS_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == os.environ["REDIS_URL"]
