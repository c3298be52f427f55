"""TensorBoard events, written without summary ops in the graph."""

from collections.abc import Mapping
from pathlib import Path

from dnnlib.tflib.runtime import tf


class EventWriter:
    """Appends scalars to an event file in `folder`; each call is flushed, so a reader sees it at once."""

    def __init__(self, folder: Path):
        self._writer = tf.summary.FileWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._writer.add_summary(summary, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
