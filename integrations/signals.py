"""What others do along with a verb of a connection, in its transaction.

Whoever keeps something of a connection listens; this room does not know who that is. An error of
theirs undoes the verb.
"""

from django.dispatch import Signal

# Sent with organization, before and after (the labels) and actor.
connection_renamed = Signal()
