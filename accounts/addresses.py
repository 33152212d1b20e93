"""Canonical form of email addresses, used by look-ups, constraints and rate limits.

Addresses are stored as users and providers spell them, and compared only by this form. Django's
`iexact` is no substitute: PostgreSQL's `upper` turns a dotless i and a long s into I and S, so it
matches addresses that a constraint on `lower` keeps apart (decision 0015).
"""

import unicodedata

from django.core.exceptions import ValidationError

# Letters that upper case turns into ASCII, and case folding leaves alone: ı, and the dot of İ.
_LEFT_BY_CASEFOLD = str.maketrans({"\u0131": "i", "\u0307": None})


def canonical(address: str) -> str:
    """Return the form that all spellings of an address share: NFKC, case-folded, ASCII domain.

    `INES@Example.com`, `ıneſ@example.com` and `ines@ＥＸＡＭＰＬＥ.com` all are `ines@example.com`.
    Any text is accepted, because users type anything into the email field.
    """
    local, at, domain = _fold(address.strip()).rpartition("@")
    return f"{local}{at}{_ascii_domain(domain) if at else domain}"


def with_dns_domain(address: str) -> str:
    """Return a new address in lower case, with its domain as DNS spells it.

    A domain in other letters may look like another one; `xn--` does not.
    """
    local, at, domain = address.strip().lower().rpartition("@")
    return f"{local}{at}{_ascii_domain(unicodedata.normalize('NFKC', domain))}"


def validate_plain(address: str) -> None:
    """Refuse a new address whose local part holds letters that look like others.

    Django's validator ignores case, and so lets ı, İ, ſ and the Kelvin sign pass for i, s and k.
    """
    if not address.rpartition("@")[0].isascii():
        raise ValidationError(
            "Write the part before the @ with the letters a to z, digits and signs.",
            code="look_alike",
        )


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_LEFT_BY_CASEFOLD)


def _ascii_domain(domain: str) -> str:
    """Return an international domain as DNS spells it, or the text if it is no domain."""
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain
