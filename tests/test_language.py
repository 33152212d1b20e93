"""Hold code, pages and documents to the words of `docs/glossary.md`.

Each rule has a budget: the number of findings that were left when it was written. It may only fall.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
METAPHORS = (
    r"doors?|rooms?|verbs?|told|mend(?:s|ed|ing)?|whoever|somebody|nobody(?:'s)?|things?|laid|"
    r"dialects?|successors?|turnstiles?|riddles?|twins?|the living"
)
WORDS = re.compile(rf"\b(?:{METAPHORS})\b", re.IGNORECASE)
# Phrases of standard English that hold one of the words.
ALLOWED = re.compile(r"not found|404|verbose|verbatim", re.IGNORECASE)
NAMES = re.compile(
    r"(?:^|_)(?:doors?|rooms?|verbs?|told|mend|things?|laid|dialects?|successors?|turnstile|found)"
    r"(?:_|$)",
    re.IGNORECASE,
)
# Names that hold one of the words: the error 404, and the stored column of the audit log.
ALLOWED_NAMES = re.compile(r"not_found|^verb$", re.IGNORECASE)


def _files(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    skipped = {Path(__file__), ROOT / "docs/glossary.md"}
    return [p for p in paths if p.exists() and p not in skipped and "migrations" not in p.parts]


@cache
def _identifiers() -> list[str]:
    """Return every name that the code defines: functions, classes, arguments and variables."""
    names: list[str] = []
    for path in _files("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.arg):
                names.append(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.append(node.id)
    return names


def _python_prose() -> Iterator[str]:
    """Yield the docstrings and comments of the code."""
    for path in _files("*.py"):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def _page_texts() -> Iterator[str]:
    """Yield what templates show, without tags and template code."""
    for path in _files("*.html", "*.txt"):
        yield re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}|<[^>]*>", " ", path.read_text(), flags=re.DOTALL)


def _documents() -> Iterator[str]:
    for path in _files("*.md"):
        yield path.read_text()


def _count(texts: Iterator[str]) -> int:
    return sum(len(WORDS.findall(ALLOWED.sub(" ", text))) for text in texts)


SOURCES = {
    "identifiers": lambda: sum(
        bool(NAMES.search(ALLOWED_NAMES.sub("", name))) for name in _identifiers()
    ),
    "docstrings and comments": lambda: _count(_python_prose()),
    "page texts": lambda: _count(_page_texts()),
    "documents": lambda: _count(_documents()),
}
BUDGET = {
    "identifiers": 0,
    "docstrings and comments": 0,
    "page texts": 28,
    "documents": 101,
}


@pytest.mark.parametrize("source", SOURCES)
def test_words_outside_the_glossary_only_become_fewer(source: str) -> None:
    assert SOURCES[source]() <= BUDGET[source]


def test_templates_keep_within_120_columns() -> None:
    long = sum(
        len(line) > 120 for path in _files("*.html") for line in path.read_text().splitlines()
    )
    assert long <= 160
