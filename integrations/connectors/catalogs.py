"""Catalogs of all connectors, merged by name."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from integrations.connectors.base import (
    ActivityMetric,
    ActivityRatio,
    Attribute,
    Catalog,
    CatalogError,
    DocumentDimensions,
    Preset,
    Product,
)


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


def merged_document_dimensions(catalogs: Iterable[Catalog]) -> dict[str, DocumentDimensions]:
    """Return the dimensions of documents by their feed; raise `CatalogError` for a clash."""
    merged: dict[str, DocumentDimensions] = {}
    for catalog in catalogs:
        for it in catalog.document_dimensions:
            if merged.setdefault(it.feed, it) != it:
                raise CatalogError(
                    f"Two connectors declare different dimensions for the feed {it.feed}."
                    " Give one of the two feeds another name."
                )
    return merged


def merged_attributes(catalogs: Iterable[Catalog]) -> dict[str, Attribute]:
    """Return every declared attribute by its name; raise `CatalogError` for a clash.

    Connectors may share one whose tables differ: it is on the tables of both.
    """
    merged: dict[str, Attribute] = {}
    for catalog in catalogs:
        for attribute in catalog.attributes:
            known = merged.setdefault(attribute.name, attribute)
            tables = known.tables | attribute.tables
            if replace(known, tables=tables) != replace(attribute, tables=tables):
                raise CatalogError(
                    f"Two connectors declare the dimension {attribute.name} differently. Give one"
                    " of the two another name."
                )
            merged[attribute.name] = replace(known, tables=tables)
    return merged


def merged_products(catalogs: Iterable[Catalog]) -> dict[str, Product]:
    """Return every product by the provider's word; raise `CatalogError` for a clash.

    One label has one color, however many words mean it.
    """
    merged: dict[str, Product] = {}
    colors: dict[str, int] = {}
    for catalog in catalogs:
        for word, product in catalog.products.items():
            if merged.setdefault(word, product) != product:
                raise CatalogError(
                    f"Two connectors call the product {word} differently: {merged[word].label} and"
                    f" {product.label}. Make the two the same."
                )
            if colors.setdefault(product.label, product.color) != product.color:
                raise CatalogError(f"The product {product.label} is declared in two colors.")
    return merged


def merged_values(catalogs: Iterable[Catalog]) -> dict[str, dict[str, str]]:
    """Return the words for values by dimension; raise `CatalogError` for a clash."""
    merged: dict[str, dict[str, str]] = {}
    for catalog in catalogs:
        for dimension, words in catalog.values.items():
            known = merged.setdefault(dimension, {})
            for value, word in words.items():
                if known.setdefault(value, word) != word:
                    raise CatalogError(
                        f"Two connectors call the value {value} of {dimension} differently:"
                        f" {known[value]} and {word}. Make the two the same."
                    )
    return merged


def merged_ratios(catalogs: Iterable[Catalog]) -> tuple[ActivityRatio, ...]:
    """Return every declared ratio once; raise `CatalogError` for a clash."""
    return _once_by_name("ratios", (it for catalog in catalogs for it in catalog.ratios))


def merged_presets(catalogs: Iterable[Catalog]) -> tuple[Preset, ...]:
    """Return every declared report once; raise `CatalogError` for a clash."""
    return _once_by_name("reports", (it for catalog in catalogs for it in catalog.presets))


T = TypeVar("T", ActivityRatio, Preset)


def _once_by_name(noun: str, declared: Iterable[T]) -> tuple[T, ...]:
    merged: dict[str, T] = {}
    for one in declared:
        if merged.setdefault(one.name, one) != one:
            raise CatalogError(f"Two connectors declare different {noun} “{one.name}”.")
    return tuple(merged.values())
