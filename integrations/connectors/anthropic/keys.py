"""Recognize kinds of Anthropic keys by their prefixes, without a request."""

from dataclasses import dataclass

from integrations.connectors.base import ActionNeeded

# The beginning of a key and what it is; a longer beginning comes before a shorter one.
_KINDS = (
    (
        "sk-ant-admin",
        "This is an Admin key of the Claude Console. Its card is Anthropic (Claude Console).",
    ),
    (
        "sk-ant-api01-",
        "This is a key of claude.ai, for Claude Enterprise. Its card is Anthropic (Analytics API).",
    ),
    ("sk-ant-api", "This key runs models; it cannot read analytics."),
    ("sk-ant-oat", "This is the sign-in token of one person, not a key of the organization."),
)
_NOT_SENT = "It was not sent to Anthropic."
_SHORTEST_SECRET = 4  # characters after the prefix; less is a key that was cut off


@dataclass(frozen=True)
class KeyFormat:
    """The kind a card needs. `name` is as in “an Admin key”; `new_key` says how to get one."""

    name: str
    prefix: str
    new_key: str

    def check(self, key: str) -> None:
        """Raise `ActionNeeded` if the key is visibly of another kind, or not whole."""
        if any(not char.isprintable() or char.isspace() for char in key):
            raise ActionNeeded(
                "This does not look like a complete key: it has a space or a line break inside. "
                f"{_NOT_SENT}",
                code="key_malformed",
                repair=f"Copy the key again, all of it. If its window is closed: {self.new_key}",
            )
        if not key.startswith(self.prefix) or not key.isascii():
            kind = next((nonzero for beginning, nonzero in _KINDS if key.startswith(beginning)), "")
            raise ActionNeeded(
                f"{kind} This card needs {self.name}, which starts with {self.prefix}. {_NOT_SENT}"
                if kind
                else f"This is not {self.name}: those start with {self.prefix}. {_NOT_SENT}",
                code="wrong_key_kind",
                repair=self.new_key,
            )
        if len(key) < len(self.prefix) + _SHORTEST_SECRET:
            raise ActionNeeded(
                f"This does not look like a complete key: its end is missing. {_NOT_SENT}",
                code="key_malformed",
                repair="Copy the key again, all of it.",
            )
