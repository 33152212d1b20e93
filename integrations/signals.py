"""Signals of operations on connections, sent inside their transaction.

Apps that store something about a connection subscribe. An error of a receiver rolls the operation
back.
"""

from django.dispatch import Signal

# Sent with organization, before and after (the labels) and actor.
connection_renamed = Signal()
