"""The providers of this installation. One line makes a card, a page, a command and a sync."""

CONNECTORS = [
    "integrations.connectors.claude_enterprise.ClaudeEnterprise",
    "integrations.connectors.claude_console.ClaudeConsole",
]
