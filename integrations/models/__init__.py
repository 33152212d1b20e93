"""What is connected, what was read, and the facts it brought."""

from integrations.models.connection import Connection
from integrations.models.dimensions import Meter, Person, Resource
from integrations.models.facts import (
    CostFact,
    CostTotal,
    EngagementFact,
    UsageFact,
    UsageTotal,
)
from integrations.models.sync import DayCheck, FeedDay, Restatement, SyncRun, SyncWindow

__all__ = [
    "Connection",
    "CostFact",
    "CostTotal",
    "DayCheck",
    "EngagementFact",
    "FeedDay",
    "Meter",
    "Person",
    "Resource",
    "Restatement",
    "SyncRun",
    "SyncWindow",
    "UsageFact",
    "UsageTotal",
]
