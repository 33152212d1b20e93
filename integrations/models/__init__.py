"""Models of connections, syncs and facts."""

from integrations.models.connection import Connection
from integrations.models.dimensions import Meter, Person, Resource, ResourceVersion
from integrations.models.facts import (
    CostFact,
    CostTotal,
    EngagementFact,
    UsageFact,
    UsageTotal,
)
from integrations.models.notices import ExpertInquiry, Notice
from integrations.models.rollups import (
    ActivityByDay,
    ActivityByPerson,
    CostByMeter,
    CostByPerson,
    UsageByMeter,
    UsageByPerson,
)
from integrations.models.sync import DayCheck, FeedDay, Restatement, SyncRun, SyncWindow

__all__ = [
    "ActivityByDay",
    "ActivityByPerson",
    "Connection",
    "CostByMeter",
    "CostByPerson",
    "CostFact",
    "CostTotal",
    "DayCheck",
    "EngagementFact",
    "ExpertInquiry",
    "FeedDay",
    "Meter",
    "Notice",
    "Person",
    "Resource",
    "ResourceVersion",
    "Restatement",
    "SyncRun",
    "SyncWindow",
    "UsageByMeter",
    "UsageByPerson",
    "UsageFact",
    "UsageTotal",
]
