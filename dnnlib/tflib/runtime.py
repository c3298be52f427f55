"""TensorFlow as this program uses it: the compat.v1 graph API, without its start-up chatter.

Importing this module imports TensorFlow (some seconds). Every module that needs it says
`from dnnlib.tflib.runtime import tf`; modules that `--help` or a wrong command line reaches do not.
"""

import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np

from dnnlib.errors import UserError

# Lines of TensorFlow, absl and oneDNN that say nothing a user could act on. Everything else is passed on.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl"
    rb"|[IW]\d{4} "
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    rb"|To enable the following instructions"
    rb"|E\d{4} .*(cuda_platform|Unable to register cu\w+ factory|cuInit)"
    rb"|.*(oneDNN custom operations are on|computation_placer already registered))"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Holds back what C++ code writes to file descriptor 2, and passes on all but the known chatter at the end.

    Meant for the two moments at which TensorFlow talks: its import and the making of a session. Its C++ side writes
    before `TF_CPP_MIN_LOG_LEVEL` is looked at, so nothing less will do.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError):  # no usable stderr, so nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            rest = b"".join(line for line in held if not _CHATTER.match(line))
            if rest:
                os.write(2, rest)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with quiet_start():
    import tensorflow.compat.v1 as tf
    from tensorflow.core.protobuf import rewriter_config_pb2
tf.disable_eager_execution()


def session_config():
    """Returns what sessions are opened with, so that they take GPU memory as they need it."""
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    # The remapper trips over leaky ReLU after a bias (it logs errors and gives up), and costs more than it fuses.
    config.graph_options.rewrite_options.remapping = rewriter_config_pb2.RewriterConfig.OFF
    return config


def create_session(graph=None):
    """Opens a session on `graph` (default: the current one), on one device."""
    with quiet_start():
        return tf.Session(graph=graph, config=session_config())


def device_name() -> str:
    """Returns what the work is done on, as its maker calls it: the first GPU, or else the CPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def out_of_memory(remedy: str) -> Iterator[None]:
    """Turns TensorFlow's error about memory, within, into a UserError with the remedy."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise UserError(f"out of memory: {remedy}") from None


def initialize(session, values: Mapping[str, np.ndarray]) -> None:
    """Initialises all variables of the session's graph.

    values: arrays by the names of variables, of the trainable ones at least; the others become what they are built with.
    """
    with session.graph.as_default():
        variables = tf.global_variables()
    feed = {}  # in place of each initial value
    for v in variables:
        if v.trainable or v.op.name in values:
            feed |= {copy.initializer.inputs[1]: values[v.op.name] for copy in _copies(v)}
    session.run([copy.initializer for v in variables for copy in _copies(v)], feed)


def unlike_variables(session, values: Mapping[str, np.ndarray]) -> str | None:
    """Returns why values are not those of all variables of the session's graph, e.g. "no variable 'nin/W'"; else None."""
    with session.graph.as_default():
        variables = tf.global_variables()
    for v in variables:
        name, shape, dtype = v.op.name, tuple(v.shape.as_list()), np.dtype(v.dtype.as_numpy_dtype)
        if name not in values:
            return f"no variable {name!r}"
        if (values[name].shape, values[name].dtype) != (shape, dtype):
            return f"a variable {name!r} of another shape or type"
    return None


def fetch_variables(session, trainable: bool = True) -> dict[str, np.ndarray]:
    """Fetches the variables of the session's graph in order of creation, by name. trainable: only those that are trained."""
    with session.graph.as_default():
        variables = tf.trainable_variables() if trainable else tf.global_variables()
    return dict(zip([v.op.name for v in variables], session.run([_copies(v)[0] for v in variables]), strict=True))


def _copies(variable) -> tuple:
    """Returns the copies of a variable that several devices share, one a device; of any other, itself."""
    return getattr(variable, "values", (variable,))
