"""What convolutions compute in. Weights, optimiser and what is summed over images are float32 or float64 in any case."""

import contextlib
from pathlib import Path

AUTO, FLOAT32, BF16 = "auto", "float32", "bf16"
PRECISIONS = (AUTO, FLOAT32, BF16)


def fastest_precision(on_gpu: bool) -> str:
    """Returns BF16 on a CPU that has instructions for it, where trainings end as well in it; otherwise FLOAT32."""
    return FLOAT32 if on_gpu or not cpu_has_bf16() else BF16


def cpu_has_bf16() -> bool:
    """Returns whether the CPU multiplies bfloat16 itself. Known on Linux only; elsewhere False."""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def dtype_of(precision: str):
    """Returns FLOAT32 or BF16 as a type of TensorFlow's."""
    from dnnlib.tflib.runtime import tf

    return {FLOAT32: tf.float32, BF16: tf.bfloat16}[precision]
