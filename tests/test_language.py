"""Hold code, pages, documents and commits to the words of `docs/glossary.md` and to plain form."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator
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

# A comparison with text for people, which begins with a capital letter.
DISPLAY_WORD = re.compile(r"""(?:\.word\s*[!=]=\s*\S+|[!=]=\s*["'][A-Z][a-z][^"']*["'])""")
# "Fail windows after five worker deaths": at most 72 characters, a verb first, no semicolon.
SUBJECT = re.compile(
    r"(?=.{1,72}$)(?!(?!Feed|Need|Embed|Seed|Speed|Bring|Ping)\w+(?:ed|ing)\b)[A-Z][^;]*[^;.]"
)


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
    """Return every name that the code defines: modules, functions, classes and variables."""
    names: list[str] = []
    for path in _files("*.py"):
        names.append(path.stem)
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


def _in(texts: Iterator[str]) -> list[str]:
    """Return the words of these texts that the glossary replaces."""
    return [word for text in texts for word in WORDS.findall(ALLOWED.sub(" ", text))]


def test_names_of_the_code_are_words_of_the_glossary() -> None:
    assert [name for name in _identifiers() if NAMES.search(ALLOWED_NAMES.sub("", name))] == []


@pytest.mark.parametrize("texts", [_python_prose, _page_texts, _documents])
def test_texts_use_the_words_of_the_glossary(texts: Callable[[], Iterator[str]]) -> None:
    assert _in(texts()) == []


def test_templates_keep_within_120_columns() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _files("*.html")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 120
    ]
    assert long == []


def test_templates_decide_by_states_and_never_by_words_they_display() -> None:
    """A label can change without behavior: only booleans, enums and slugs are compared."""
    compared = [
        f"{path.relative_to(ROOT)}: {comparison}"
        for path in _files("*.html")
        for comparison in DISPLAY_WORD.findall(path.read_text())
    ]
    assert compared == []


def test_subjects_of_new_commits_are_short_sentences_in_the_imperative() -> None:
    """Commits that are not on `origin/main` yet; where there are none, nothing is checked."""
    log = subprocess.run(
        ["git", "log", "--no-merges", "--format=%s", "origin/main..HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [subject for subject in log.stdout.splitlines() if not SUBJECT.fullmatch(subject)]
    assert wrong == []
