"""Share strict parameters, errors, pacing and dice between the sandboxes.

Each connector's own sandbox is built on it. It imports nothing of the client.
"""
