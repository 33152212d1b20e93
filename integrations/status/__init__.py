"""State of feeds and connections: the one computation that pages, API and notices read.

`feeds` reads every feed of the given connections, `connections` folds them. Nothing else computes
a state, how far a feed is complete or final, a gap or a failure. Words stand in `words`.
"""
