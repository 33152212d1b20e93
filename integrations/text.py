"""Provider text made storable: any name, message or id that JSON can carry, as PostgreSQL keeps it.

PostgreSQL refuses NUL and halves of surrogate pairs in text and JSON, and an entry of an index
holds 2.7 kB at most. Labels are cleaned. Keys stay distinct: where one has to change, its own hash
tells it from every other.
"""

import re
from hashlib import sha256

# Characters of a key: at most 2,000 bytes of an index entry, which leaves space for its neighbors.
LONGEST_KEY = 500

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROLS = re.compile("[\x01-\x1f\x7f-\x9f\u2028\u2029]+")


def storable(text: str) -> str:
    """Replace what a database refuses; line breaks stay. For messages and documents."""
    return _UNSTORABLE.sub("\ufffd", text)


def label(text: str) -> str:
    """Return a name as it is shown: on one line, without blanks around it, in any length."""
    if text.isprintable():
        return text.strip()
    return " ".join(_CONTROLS.sub(" ", storable(text)).split())


def key(text: str, longest: int | None = LONGEST_KEY) -> str:
    """Return what identifies something, unchanged if it can be stored; None allows any length.

    Different texts give different keys: what is replaced or cut off goes into a hash at the end.
    """
    is_short = longest is None or len(text) <= longest
    if is_short and not _UNSTORABLE.search(text):
        return text
    mark = "#" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    readable = storable(text)
    return (readable if longest is None else readable[: longest - len(mark)]) + mark
