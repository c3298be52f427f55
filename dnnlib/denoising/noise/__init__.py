"""Noise: the table of its families, what is added in training and in evaluation, how its level is learned or estimated.

Imports nothing of `dnnlib.denoising` beside itself.
"""
