"""Names that users choose, and what mails may show of them.

Mails to strangers contain the name of a person, so it may hold no address, phone number or
sentence. Names of organizations and reports are less restricted: `for_mail` removes what a mail
program would turn into a link.
"""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.text import Truncator

MAX_LETTERS = 60
MAX_WORDS = 8  # "Maria do Carmo de Souza e Silva Neto" has eight
_SIGNS = frozenset(" '\u2018\u2019.-\u2010\u2011\u00b7,()")
_MAX_DIGITS = 2  # "Henry 8th"
# Mail programs make a link of a dot between letters: evil.example.
_MAKES_A_LINK = re.compile(r"://|@|[.\u3002](?=[^\W\d])|\bwww\b", re.IGNORECASE)
_DOT_INSIDE = re.compile(r"\.\w{2,}")


def validate_name(name: str) -> None:
    """Refuse text that is not a name of a person, with a message that says what to change."""
    if len(name) > MAX_LETTERS or len(name.split()) > MAX_WORDS:
        raise ValidationError(
            f"Write at most {MAX_LETTERS} letters and {MAX_WORDS} words.", code="sentence"
        )
    strange = sorted({sign for sign in name if not _is_allowed(sign)})
    if strange:
        shown = " ".join(sign for sign in strange if sign.isprintable())
        raise ValidationError(
            f"A name cannot contain {shown or 'invisible characters'}. It appears in emails to "
            "others.",
            code="signs",
        )
    if sum(sign.isdecimal() for sign in name) > _MAX_DIGITS:
        raise ValidationError("A name cannot contain a number.", code="number")
    if _DOT_INSIDE.search(name):
        raise ValidationError("Write a space after a dot, as in St. John.", code="address")


def is_fit_for_mail(name: str) -> bool:
    """Return whether a mail may show a stored name, which may be older than the rules."""
    try:
        validate_name(name)
    except ValidationError:
        return False
    return bool(name.strip())


def for_mail(title: str) -> str:
    """Return the title of an organization or a report as mails show it.

    One line without links, addresses and invisible characters, at most 60 letters.
    """
    plain = unicodedata.normalize("NFKC", title)
    plain = "".join(sign if sign.isprintable() else " " for sign in plain)
    plain = _MAKES_A_LINK.sub(" ", plain)
    return Truncator(" ".join(plain.split())).chars(MAX_LETTERS)


def _is_allowed(sign: str) -> bool:
    return sign in _SIGNS or sign.isdecimal() or unicodedata.category(sign)[0] in "LM"
