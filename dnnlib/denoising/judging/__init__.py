"""How sure a figure is: intervals over pictures, paired differences, calibration, and evaluation.json, which keeps them.

Plain numbers, without TensorFlow. Imports nothing of this program but what `dnnlib` itself has.
"""
