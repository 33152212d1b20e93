"""HTML as tests compare it: line breaks and indentation of templates do not count."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, SupportsIndex
from unittest import mock

from django.http import HttpResponse


def squeeze(html: str) -> str:
    """Collapse whitespace, and drop it next to tags and before the end of a tag."""
    html = re.sub(r"\s+", " ", html)
    return re.sub(r" ?(/?>) ?| (?=<)", r"\1", html)


class Page(str):
    """Squeezed HTML that squeezes what it is searched for, too."""

    __slots__ = ()

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(squeeze(key))

    def count(self, text: str, *limits: SupportsIndex | None) -> int:
        return super().count(squeeze(text), *limits)

    def index(self, text: str, *limits: SupportsIndex | None) -> int:
        return super().index(squeeze(text), *limits)

    def find(self, text: str, *limits: SupportsIndex | None) -> int:
        return super().find(squeeze(text), *limits)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        parts = super().split(squeeze(sep) if sep else sep, maxsplit)
        return [Page(part) for part in parts]

    def partition(self, sep: str) -> tuple[str, str, str]:
        before, separator, after = super().partition(squeeze(sep))
        return Page(before), separator, Page(after)


class PageBytes(bytes):
    """Content of a response that decodes to a `Page`."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return Page(squeeze(super().decode(encoding, errors)))

    def __contains__(self, key: Any) -> bool:
        return (
            key.decode() in self.decode() if isinstance(key, bytes) else super().__contains__(key)
        )


@contextmanager
def squeezed() -> Iterator[None]:
    """Let `response.content` of HTML be `PageBytes`."""
    plain: Any = HttpResponse.content

    def read(response: HttpResponse) -> bytes:
        content = plain.fget(response)
        is_page = response.get("Content-Type", "").startswith("text/html")
        return PageBytes(content) if is_page else content

    with mock.patch.object(HttpResponse, "content", property(read, plain.fset)):
        yield
