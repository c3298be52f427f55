"""What Pillow cannot do for PNG files: 16 bits a channel in colour, and metadata kept as they are."""

import functools
import struct
from collections.abc import Iterator

import numpy as np

from dnnlib.errors import UserError, one_line, raised_by_library

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of the picture as a whole, and still true of it denoised: colour space, resolution, EXIF, texts.
_METADATA = (
    b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"eXIf", b"tEXt", b"zTXt", b"iTXt",
)  # fmt: skip
_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT")  # read, or refused; no metadata
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MOST_DEFLATED = 1032  # bytes that one of zlib can stand for


def bit_depth(data: bytes) -> int:
    """Returns how many bits a channel has, for a PNG file with a whole header."""
    return data[24]


def check_length(data: bytes) -> None:
    """Raises UserError where a PNG file is too short for the pixels that it claims: libpng would leave the rest empty."""
    width, height, bits, colour_type = struct.unpack(">IIBB", data[16:26])
    row = 1 + width * bits * _SAMPLES.get(colour_type, 1) // 8
    packed = sum(len(chunk) - 12 for name, chunk in _chunks(data) if name == b"IDAT")
    if height * row > packed * _MOST_DEFLATED:
        raise UserError(f"the file is damaged ({packed} bytes cannot hold {width} x {height} pixels)")


def metadata_chunks(data: bytes) -> bytes:
    """Returns the chunks of a PNG file that say something of the picture, as they are in the file."""
    return b"".join(chunk for name, chunk in _chunks(data) if name in _METADATA)


def other_chunks(data: bytes) -> list[str]:
    """Returns the names of chunks that are neither pixels nor among `metadata_chunks`, each once."""
    return list(dict.fromkeys(name.decode("latin-1") for name, _ in _chunks(data) if name not in _METADATA + _PIXELS))


def has_chunk(data: bytes, wanted: bytes) -> bool:
    """Tells whether a PNG file has a chunk of a name."""
    return any(name == wanted for name, _ in _chunks(data))


def with_chunks(data: bytes, chunks: bytes) -> bytes:
    """Returns a PNG file with more chunks, right after its header."""
    end = len(_SIGNATURE) + 25
    return data[:end] + chunks + data[end:]


def decode16(data: bytes) -> np.ndarray:
    """Decodes a PNG file to uint16 [H,W,1..4]. Raises UserError if it is damaged."""
    return _codec().decode(data)


def encode16(pixels: np.ndarray) -> bytes:
    """Encodes uint16 [H,W,1..4] as a PNG file."""
    return _codec().encode(pixels)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and bytes of each chunk that is whole."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end <= len(data):
            yield data[position + 4 : position + 8], data[position:end]
        position = end


@functools.cache
def _codec():
    """Returns TensorFlow's PNG functions, in a graph and a session of their own."""
    from dnnlib.tflib.runtime import create_session, tf  # late: it imports TensorFlow, which takes seconds

    class Codec:
        """Holds the graph and the session."""

        def __init__(self):
            # The graph.
            graph = tf.Graph()
            with graph.as_default(), tf.device("/cpu:0"):
                self._data = tf.placeholder(tf.string, [])
                self._decoded = tf.io.decode_png(self._data, dtype=tf.uint16)
                self._pixels = tf.placeholder(tf.uint16, [None, None, None])
                self._encoded = tf.io.encode_png(self._pixels)
            self._session = create_session(graph)

        def decode(self, data: bytes) -> np.ndarray:
            """Decodes as `decode16` does."""
            try:
                return self._session.run(self._decoded, {self._data: data})
            except tf.errors.InvalidArgumentError as error:
                raise UserError(f"the file is damaged ({one_line(error)[:80]})") from error

        def encode(self, pixels: np.ndarray) -> bytes:
            """Encodes as `encode16` does."""
            with raised_by_library():
                return self._session.run(self._encoded, {self._pixels: pixels})

    return Codec()
