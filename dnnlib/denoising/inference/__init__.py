"""A user's own pictures: denoised whole or in tiles, written back as they were, or the network exported.

May import `pictures`, `network`, `noise`, `configuration` and `options`.
"""
