"""Comparing the ids that providers give: by value, not by spelling."""

from uuid import UUID


def canonical_id(provider_id: str) -> str:
    """Spell a UUID in one way; keep other ids, in which capital letters count."""
    text = provider_id.strip()
    if "_" in text or len(text) < 32:
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return text
