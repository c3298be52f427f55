"""Self-supervised denoising: everything behind the command-line scripts.

`dnnlib.denoising` is the method, `dnnlib.tflib` knows TensorFlow but not denoising, `dnnlib.submission`
knows run directories. Importing this package does not import TensorFlow.
"""

from dnnlib.errors import UserError

__all__ = ["UserError"]
