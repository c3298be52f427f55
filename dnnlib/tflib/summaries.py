"""TensorBoard events, written without summary ops in the graph."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dnnlib.errors import UserError, one_line
from dnnlib.tflib.runtime import tf


class EventWriter:
    """Appends scalars and images to an event file in `folder`; each call is flushed, so a reader sees it at once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._writer = tf.summary.FileWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Shows values at a step, each under its tag."""
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._add(step, summary)

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H,W,1 or 3], at a step under a tag."""
        height, width, channels = picture.shape
        jpeg = io.BytesIO()  # noise hardly compresses as PNG, and a long run has hundreds of them
        Image.fromarray(picture if channels == 3 else picture[:, :, 0]).save(jpeg, "JPEG", quality=90)
        image = tf.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=jpeg.getvalue())
        self._add(step, tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)]))

    def close(self) -> None:
        """Closes the file."""
        with self._trouble():
            self._writer.close()

    def _add(self, step: int, summary) -> None:
        """Writes a summary at once."""
        with self._trouble():
            self._writer.add_summary(summary, step)
            self._writer.flush()

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        """Turns what goes wrong in TensorFlow's writer, within, into a UserError."""
        try:
            yield
        except Exception as error:  # TensorFlow's writer thread fails in ways of its own: even an IndexError for a full disk
            reason = one_line(error)
            raise UserError(f"{self._folder}: TensorBoard's events cannot be written ({reason}); free some space") from error
