"""Chance that falls the same way on every machine."""

import hashlib
import random


def seed(*parts: object) -> int:
    """Return a number that depends only on the parts, on every machine."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def dice(*parts: object) -> random.Random:
    """Dice for one purpose. Only `random` and `choices` are used: they are exact everywhere."""
    return random.Random(seed(*parts))


_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def identifier(prefix: str, *parts: object) -> str:
    """Return an id in the form of the API, such as user_01AbCd."""
    rolls = dice("id", prefix, *parts)
    return prefix + "".join(rolls.choices(_ALPHABET, k=22))
