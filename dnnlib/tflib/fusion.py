"""Arithmetic in few kernels on a GPU, which waits for the launch of each one far longer than it computes."""

import contextlib

from dnnlib.tflib.runtime import tf

_ARITHMETIC = {
    "Abs", "AddN", "AddV2", "BatchMatMulV2", "Exp", "Log", "Maximum", "Mul", "Neg", "Pack", "Pow", "RealDiv", "Reciprocal",
    "Reshape", "Sqrt", "Square", "Sub", "Transpose", "Unpack",
}  # fmt: skip


def fused_arithmetic(dtype=tf.float32):
    """Returns a context in which arithmetic of one type is compiled by XLA; gradients of what is made in it are, too.

    All else (convolutions, random numbers, what reads and writes variables) stays as TensorFlow has it, and so does
    everything where no GPU is used.

    dtype: tf.float32 or tf.float64.
    """
    if not tf.config.get_visible_devices("GPU"):
        return contextlib.nullcontext()
    return tf.xla.experimental.jit_scope(
        lambda node: node.op in _ARITHMETIC and node.attr["T"].type == dtype.as_datatype_enum
    )
