"""Report parameters of the OpenAPI document, from the tables that also parse them."""

from typing import Any

from reports.catalog.metrics import DIMENSIONS, METRICS
from reports.engine.periods import CUSTOM, RANGES
from reports.engine.spec import CHOICES, FILTERABLE, FLAGS, MAX_GROUPS, Operator

_CHOICES = {
    "interval": "Group by time first. Without it, rows cover all days.",
    "compare": "Add a column `…_before` to each metric, with the numbers of earlier days.",
}
_FLAGS = {
    "cumulative": "Return running totals.",
    "final": "End before the first day that can still change.",
}
_IGNORED_HERE = "The chart of the report page; no effect here."


def report_parameters() -> list[dict[str, Any]]:
    """Return the OpenAPI parameters of `/report`."""
    comparing = ", ".join(f"`.{word}`" for word in Operator if word)
    return [
        _listed("metrics", list(METRICS), "Metrics to return; `cost` if none is named."),
        _listed("group_by", list(DIMENSIONS), "Dimensions to group by, in this order."),
        _one("range", [*RANGES, CUSTOM], "Days that move with the calendar; `30d` if not given."),
        _day("from", "The first day, for custom dates."),
        _day("to", "The last day, included."),
        {
            "name": "show",
            "in": "query",
            "description": "How many groups, from which end; the others become one row."
            f" At most {MAX_GROUPS}.",
            "schema": {"type": "string", "pattern": r"^(top|bottom)-[1-9][0-9]?$"},
        },
        *[
            _one(name, list(known), _CHOICES.get(name, _IGNORED_HERE))
            for name, known in CHOICES.items()
        ],
        *[_one(name, ["yes", "no"], _FLAGS.get(name, _IGNORED_HERE)) for name in FLAGS],
        *[
            {
                "name": name,
                "in": "query",
                "description": f"Keep one value of {d.label}; repeat for one of several."
                f" Compare otherwise by {comparing} behind the name.",
                "schema": {"type": "array", "items": {"type": "string"}},
            }
            for name, d in FILTERABLE.items()
        ],
    ]


def _listed(name: str, values: list[str], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": f"{description} Names with commas.",
        "style": "form",
        "explode": False,
        "schema": {
            "type": "array",
            "uniqueItems": True,
            "items": {"type": "string", "enum": values},
        },
    }


def _one(name: str, values: list[str], description: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": values}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _day(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "date"}
    return {"name": name, "in": "query", "description": description, "schema": schema}
