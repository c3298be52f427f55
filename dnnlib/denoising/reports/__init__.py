"""Pages to look at: report.html in each run directory, and index.html over all of them. One file each, without a network.

May import `pictures` and `judging`.
"""
