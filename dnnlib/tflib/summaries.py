"""TensorBoard events, written without summary ops in the graph."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dnnlib.tflib.runtime import tf


class EventWriter:
    """Appends scalars and images to an event file in `folder`; each call is flushed, so a reader sees it at once."""

    def __init__(self, folder: Path):
        self._writer = tf.summary.FileWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._writer.add_summary(summary, step)
        self._writer.flush()

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """picture: uint8 [H,W,1 or 3]."""
        height, width, channels = picture.shape
        png = io.BytesIO()
        Image.fromarray(picture if channels == 3 else picture[:, :, 0]).save(png, "PNG")
        image = tf.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue())
        self._writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)]), step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
