"""Pictures as files and arrays: reading, writing, searching, and which values stand for black and white.

Imports nothing of `dnnlib.denoising` beside itself.
"""
