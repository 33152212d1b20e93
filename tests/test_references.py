"""Every path, module, setting and heading that documents, docstrings and comments name exists."""

import ast
import io
import re
import subprocess
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = "accounts|api|benchmarks|common|config|dev|integrations|reports|sandbox|tests"
PATH = re.compile(
    r"(?<![\w./<>{}*-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|toml|yaml|conf|html|txt|sh|js|css))(?![\w/*<-])"
)
# Not `accounts.change_user`, which is a permission of Django.
MODULE = re.compile(rf"`((?:{PACKAGES})(?:\.(?!(?:add|change|delete|view)_)\w+)+)[`(]")
SETTING = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`")
LINK = re.compile(r"\]\(([\w./-]*)#([\w-]+)\)")
# Written by `make run`, or by other programs.
MADE_AT_RUN_TIME = {"run.env", "secrets.env"}


@cache
def _files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [p for line in listed.stdout.splitlines() if (p := ROOT / line).is_file()]


def _prose(path: Path) -> str:
    """Return the text of a document, or the docstrings and comments of a module."""
    source = path.read_text()
    if path.suffix == ".md":
        return re.sub(r"```.*?```", "", source, flags=re.DOTALL)
    texts = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts += [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join(texts)


@cache
def _texts() -> list[tuple[Path, str]]:
    """Return each document and module with its prose. The changelog names what was removed."""
    return [
        (path, _prose(path))
        for path in _files()
        if path.suffix in {".md", ".py"}
        and "migrations" not in path.parts
        and path not in {Path(__file__), ROOT / "CHANGELOG.md"}
    ]


@cache
def _known_paths() -> set[str]:
    """Return every path of the repository, and its ends: `sync/run.py` and `run.py` are enough."""
    parts = [path.relative_to(ROOT).parts for path in _files()]
    return {"/".join(path[start:]) for path in parts for start in range(len(path))}


def _is_path(name: str) -> bool:
    name = re.sub(r"^(\.\.?/)+", "", name)
    return name in _known_paths() or name.rpartition("/")[2] in MADE_AT_RUN_TIME


def _is_module(name: str) -> bool:
    """Return whether the dotted name is a module or a name that a module defines."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:end])
        modules = [m for m in (folder.with_suffix(".py"), folder / "__init__.py") if m.exists()]
        if modules or folder.is_dir():
            source = "".join(module.read_text() for module in modules)
            return end == len(parts) or re.search(rf"\b{parts[end]}\b", source) is not None
    return False


def _slugs(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def test_every_named_path_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in _texts()
        for name in PATH.findall(text)
        if not _is_path(name)
    ]
    assert missing == []


def test_every_named_module_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in _texts()
        for name in MODULE.findall(text)
        if not _is_path(name) and not _is_module(name)
    ]
    assert missing == []


def test_every_named_setting_is_read_somewhere() -> None:
    code = "\n".join(
        path.read_text()
        for path in _files()
        if path.suffix in {".py", ".yaml", ".example", ".toml"} or path.name == "Makefile"
    )
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in _texts()
        if path.suffix == ".md"
        for name in SETTING.findall(text)
        if not re.search(rf"\b{name}\b", code)
    ]
    assert missing == []


def test_every_linked_heading_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {target}#{anchor}"
        for path, text in _texts()
        for target, anchor in LINK.findall(text)
        if not (place := path.parent / target if target else path).is_file()
        or anchor not in _slugs(place)
    ]
    assert missing == []
