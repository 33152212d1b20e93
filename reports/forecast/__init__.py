"""Forecasts of daily numbers, and the columns they become."""

from reports.forecast.model import (
    MAX_HISTORY_DAYS,
    MAX_HORIZON_DAYS,
    Estimate,
    Forecast,
)

__all__ = [
    "MAX_HISTORY_DAYS",
    "MAX_HORIZON_DAYS",
    "Estimate",
    "Forecast",
]
