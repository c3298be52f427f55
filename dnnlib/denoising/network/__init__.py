"""The method itself: the U-Nets, the blind spot, the Bayesian head, and how a network becomes a file.

May import `noise` and `configuration`.
"""
