"""Code shared by the products of Anthropic: requests, errors, reports and keys.

Not a connector: the folders beside it are. They import from here and never from each other.
"""
