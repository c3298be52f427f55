"""Data sets: training shards and their writers, random crops, and sets of pictures to validate on.

May import `pictures`, `noise`, `network` and `configuration`.
"""
