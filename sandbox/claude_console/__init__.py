"""Simulate the Console's Admin API with generated data for development, demos and tests.

The same key and day give the same numbers on every machine; only how much of today is known
follows the clock. It imports nothing of the connector that reads it.

    sk-ant-admin01-sandbox-my-org   a company with workspaces, keys, batches and Claude Code; it is
                                    enrolled in the beta reports
    sk-ant-admin01-sandbox-labs     one workspace and two keys; it is not enrolled
    sk-ant-admin01-sandbox-priority one workspace and two keys; the beta holds the cost of Priority
                                    Tier, which the reports lack
    sk-ant-admin01-sandbox-oddities two workspaces; answers no documentation promises, see
                                    `oddities`
    …-revoked 401  …-denied 403  …-missing 404  …-busy 429  …-outage 503
"""

from sandbox.claude_console.api import Sandbox

__all__ = ["Sandbox"]
