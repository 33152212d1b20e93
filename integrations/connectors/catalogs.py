"""Catalogs of all connectors, merged by name."""

from collections.abc import Iterable
from dataclasses import replace

from integrations.connectors.base import ActivityMetric, Catalog, CatalogError, Cut


def merged_metrics(catalogs: Iterable[Catalog]) -> dict[str, ActivityMetric]:
    """Return every declared metric by its name; raise `CatalogError` for a clash.

    Connectors that count the same under the same path share a metric: its feeds are put together.
    """
    merged: dict[str, ActivityMetric] = {}
    for catalog in catalogs:
        for metric in catalog.metrics:
            known = merged.get(metric.name)
            if known is None:
                merged[metric.name] = metric
                continue
            for what in ("paths", "optional_paths", "unit", "kind"):
                if (ours := getattr(known, what)) != (theirs := getattr(metric, what)):
                    raise CatalogError(
                        f"Two connectors declare the metric {metric.name} with different {what}:"
                        f" {ours} and {theirs}. Give one of the two another name."
                    )
            feeds = tuple(dict.fromkeys((*known.feeds, *metric.feeds)))
            merged[metric.name] = replace(known, feeds=feeds)
    return merged


def merged_cuts(catalogs: Iterable[Catalog]) -> dict[str, Cut]:
    """Return every declared cut by its feed; raise `CatalogError` for a clash."""
    merged: dict[str, Cut] = {}
    for catalog in catalogs:
        for cut in catalog.cuts:
            if merged.setdefault(cut.feed, cut) != cut:
                raise CatalogError(
                    f"Two connectors cut different numbers in the feed {cut.feed}. Give one of the"
                    " two feeds another name."
                )
    return merged
