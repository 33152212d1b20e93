"""What the twins of Anthropic's APIs share: strict parameters, errors, a pace, and dice.

Each connector's own sandbox is built on it. It imports nothing of the client side.
"""
