"""One training: its graph, loop, schedule, states to resume from, and what it reports.

May import `evaluation`, and all that may be imported there; and `options`.
"""
