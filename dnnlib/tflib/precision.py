"""What convolutions compute in. Weights, optimiser and what is summed over images are float32 or float64 in any case."""

import contextlib
from pathlib import Path

from dnnlib.errors import UserError

AUTO, FLOAT32, BF16 = "auto", "float32", "bf16"
PRECISIONS = (AUTO, FLOAT32, BF16)
_AMPERE = (8, 0)


def fastest_precision(on_gpu: bool) -> str:
    """Returns BF16 where the GPUs or the CPU have instructions for it, for trainings end as well in it; else FLOAT32."""
    return BF16 if (gpu_has_bf16() if on_gpu else cpu_has_bf16()) else FLOAT32


def cpu_has_bf16() -> bool:
    """Returns whether the CPU multiplies bfloat16 itself. Known on Linux only; elsewhere False."""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def gpu_has_bf16() -> bool:
    """Returns whether all GPUs multiply bfloat16 themselves, as those of compute capability 8.0 (Ampere) and later do."""
    from dnnlib.tflib.runtime import tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return bool(details) and all(found.get("compute_capability", (0, 0)) >= _AMPERE for found in details)


def for_results(precision: str) -> str:
    """Returns what a trained network computes in: FLOAT32 for AUTO. Raises UserError for what is none of PRECISIONS."""
    if precision not in PRECISIONS:
        raise UserError(f"--precision {precision}: must be one of {', '.join(PRECISIONS)}")
    return FLOAT32 if precision == AUTO else precision


def for_learning(precision: str, on_gpu: bool) -> str:
    """Returns what a training computes in: the fastest for AUTO."""
    return fastest_precision(on_gpu) if precision == AUTO else precision


def slow_line(precision: str, on_gpu: bool) -> str | None:
    """Returns a line for where BF16 was asked for and is no faster, else None."""
    if precision != BF16 or fastest_precision(on_gpu) == BF16:
        return None
    return f"This {'GPU' if on_gpu else 'CPU'} has no instructions for bfloat16: --precision float32 is faster"


def dtype_of(precision: str):
    """Returns FLOAT32 or BF16 as a type of TensorFlow's."""
    from dnnlib.tflib.runtime import tf

    return {FLOAT32: tf.float32, BF16: tf.bfloat16}[precision]
