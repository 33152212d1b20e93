"""Simulate the Analytics API with generated data for development, demos and tests.

The same key and day give the same numbers on every machine; only how much of today is known
follows the clock. It imports nothing of the connector that reads it, so that neither can
inherit the other's mistakes.

    sk-ant-api01-sandbox-my-org     344 people, everything charged by use; may list its groups
    sk-ant-api01-sandbox-labs       40 people on seats: only extra usage is charged
    sk-ant-api01-sandbox-campus     240 people in 130 groups; in the beta of the newer endpoints
    sk-ant-api01-sandbox-holding    a parent of two, one of which the newer endpoints hide
    sk-ant-api01-sandbox-group      a parent of two
    sk-ant-api01-sandbox-oddities   40 people; answers no documentation promises, see `oddities`
    …-revoked 401  …-noscope 403  …-off 403  …-missing 404  …-busy 429  …-outage 503
"""

from sandbox.claude_enterprise.api import Sandbox

__all__ = ["Sandbox"]
