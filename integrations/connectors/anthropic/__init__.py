"""What the products of Anthropic share: how their API is asked, and how it refuses.

Not a connector: the folders beside it are. They import from here and never from each other.
"""
