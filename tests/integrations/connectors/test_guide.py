"""What docs/adding-a-connector.md names is there: a guide that is wrong is worse than none."""

import re
from pathlib import Path

import pytest

from integrations.connectors import anthropic, base, records
from integrations.connectors.anthropic import errors, questions, tolerance
from integrations.models import Resource
from reports.catalog.metrics import DIMENSIONS

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/adding-a-connector.md").read_text()
NAMED = sorted(set(re.findall(r"`([^`]+)`", GUIDE)))
BESIDE = [ROOT, Path(anthropic.__file__).parents[1], ROOT / "templates/integrations/connectors"]
WORDS = {
    **{name: node for module in (base, records, errors) for name, node in vars(module).items()},
    "Resource": Resource,
    "Questions": questions.Questions,
    "check_key": base.Connector.check_key,
    "reporting_skipped_rows": tolerance.reporting_skipped_rows,
    "kept_out": records.Page.__dataclass_fields__["kept_out"],
    "user_id": DIMENSIONS["user_id"],
}


def paths():
    return [name for name in NAMED if "/" in name or re.search(r"\.(py|toml|html)$", name)]


@pytest.mark.parametrize("name", paths())
def test_every_path_is_there(name):
    if name == "manage.html":
        name = "<slug>/manage.html"
    path = name.replace("<slug>", "claude_console")

    assert any((beside / path).exists() for beside in BESIDE)


@pytest.mark.parametrize(
    "name", [name for name in NAMED if re.fullmatch(r"[A-Z][a-z]\w+(\.\w+)?|[a-z]+_\w+", name)]
)
def test_every_name_is_there(name):
    node, _, attribute = name.partition(".")

    assert node in WORDS
    known = {*dir(WORDS[node]), *getattr(WORDS[node], "__annotations__", {})}
    assert not attribute or attribute in known


def test_the_folder_is_as_the_guide_draws_it():
    folder = Path(anthropic.__file__).parents[1] / "claude_console"
    drawn = re.findall(r"^      (\w+(?:\.py|/))", GUIDE, re.MULTILINE)

    assert drawn == ["__init__.py", "client.py", "feeds/", "catalog.py"]
    assert all((folder / name).exists() for name in drawn)
