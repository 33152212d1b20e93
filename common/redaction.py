"""Takes secrets out of text that came from elsewhere, before it is stored, shown or logged.

People paste keys into names, and a server may repeat the key it was sent. Each secret is replaced
by a mark with the first digits of its hash: two different ones stay different, so that records
named by them are not taken for one.
"""

import hashlib
import re

# Documented or published prefixes of credentials. Hints such as `sk-ant-api03-R2D...igAA` are short
# on purpose and stay readable. A letter, digit or hyphen before a prefix means that it is part of
# something longer, such as a cursor.
_SHAPES = rb"""
    (?<![A-Za-z0-9_-])
    (?:
        sk-ant-[A-Za-z0-9_-]{15,}              # Anthropic
      | sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}  # OpenAI and those who copy its shape
      | sgt_[A-Za-z0-9_-]{32,}                 # tokens of our own API
      | (?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}
      | github_pat_[A-Za-z0-9_]{40,}
      | glpat-[A-Za-z0-9_-]{20,}
      | xox[abposr]-[A-Za-z0-9-]{20,}          # Slack
      | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])  # AWS
      | AIza[A-Za-z0-9_-]{35}                  # Google
      | eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}  # JSON Web Tokens
    )
"""
_BYTES = re.compile(_SHAPES, re.VERBOSE)
# Every shape contains one of these. Looking for them takes a tenth of the time of the expression.
_MARKERS = (
    *(b"sk-", b"sgt_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-"),
    *(b"xox", b"AKIA", b"ASIA", b"AIza", b"eyJ"),
)
_TEXT = re.compile(_SHAPES.decode(), re.VERBOSE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
# What `sk-` looks like where a JSON encoder escapes more than it has to.
_ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9A-Fa-f])")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")


def redact(text: str, *secrets: str) -> str:
    """Return the text without what is shaped like a secret, and without the given ones."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _mark(secret.encode()))
    text = _TEXT.sub(lambda match: _mark(match[0].encode()), text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(lambda match: _mark(match[0].encode()), text)
    return text


def holds_secret(text: str) -> bool:
    """Return whether something in the text is shaped like a secret."""
    return redact(text) != text


def redact_json(body: bytes, *secrets: str) -> bytes:
    """Return a JSON document in which no string holds a secret, however it was escaped."""
    if b"\\u00" in body:
        body = _ESCAPED.sub(_unescaped, body)
    for secret in secrets:
        if secret:
            body = body.replace(secret.encode(), _mark(secret.encode()).encode())
    if not any(marker in body for marker in _MARKERS):
        return body
    return _BYTES.sub(lambda match: _mark(match[0]).encode(), body)


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = int(match[2], 16)
    return match[1] + bytes([code]) if code in _PLAIN else match[0]


def _mark(secret: bytes) -> str:
    """`[redacted 1a2b3c4d]`: eight digits of a hash, which give nothing of a random key away."""
    return f"[redacted {hashlib.sha256(secret).hexdigest()[:8]}]"
