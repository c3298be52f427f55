"""A network in pieces, so that pictures of any size and shape go through it in bounded memory.

The branches of the blind-spot network run one after another on whatever part of the picture a tile needs of each, and
then the 1x1 layers and the posterior on some rows at a time. The results are those of the whole network on the whole
picture, but for float32's rounding.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.inference.tiling import PaddedPicture, Region, surroundings, tiles
from dnnlib.denoising.network.architecture import DECODER_CHANNELS, ESTIMATOR_SCOPE, output_channels, unet_layers
from dnnlib.denoising.network.layers import rotate
from dnnlib.denoising.network.model import prediction_from
from dnnlib.denoising.network.receptive_field import receptive_field
from dnnlib.denoising.network.unet import blind_branch, head, plain_unet, trunk
from dnnlib.denoising.network.window import rotate_window
from dnnlib.tflib.precision import FLOAT32, dtype_of
from dnnlib.tflib.runtime import create_session, initialize, out_of_memory, tf

_HEAD_PIXELS = 1 << 15  # at a time: the head takes some 8 KB a pixel, mostly float64, and is no faster on more
# Memory in bytes, measured on a CPU as peak RSS (tiles of 256 to 1024, 0.3 to 1.6 megapixels in one piece): a branch's for
# each pixel of the core and, mostly of the encoder, of the surroundings, and that of a branch's features.
_CORE_BYTES, _AROUND_BYTES = 2000, 300
_FEATURE_BYTES = 4 * DECODER_CHANNELS


class TiledNetwork:
    """Holds graph and session of one network; several may live side by side. Pictures are float32 on the scale [0, 1]."""

    def __init__(self, configuration: Configuration, variables: Mapping[str, np.ndarray], precision: str = FLOAT32):
        """Builds the graph, and opens the session.

        variables: of the network, by name.
        precision: FLOAT32 or BF16, what the branches and the estimator compute in.
        """
        c = self.configuration = configuration
        self._dtype = dtype_of(precision)
        self._turns = range(4 if c.blind_spot else 1)
        self._shifts = Hole.of(c.hole_size).shifts
        graph = tf.Graph()
        with graph.as_default():
            # What is fed.
            self._picture = tf.placeholder(tf.float32, [1, None, None, c.channels])
            self._parameter = tf.placeholder(tf.float32, [1, 1, 1, c.noise.parameter_count])
            # The branches.
            layers = unet_layers(c.channels, output_channels(c.pipeline, c.channels, c.diagonal), c.blind_spot)
            self._window = tf.placeholder(tf.int32, [4])
            self._branches = [self._branch(k, layers) for k in self._turns]
            # What follows on their features.
            self._features = tf.placeholder(tf.float32, [1, None, None, len(self._turns) * DECODER_CHANNELS])
            result = prediction_from(c, head(self._features, layers), self._picture, self._parameter)
            self._result = result
            # The estimator of the noise.
            if c.noise_params == "per_image":
                with tf.variable_scope(ESTIMATOR_SCOPE):
                    self._raw_parameter = plain_unet(self._picture, c.noise.parameter_count, self._window, self._dtype)
        self._session = create_session(graph)
        initialize(self._session, variables)

    def _branch(self, k: int, layers):
        """Builds one of the network's views of the picture, the k-th quarter turn: features [1,h,w,96] of the window."""
        picture = tf.cast(self._picture, self._dtype)
        with tf.variable_scope("", reuse=k > 0):
            if not self.configuration.blind_spot:
                return tf.cast(trunk(picture, layers, False, self._window), tf.float32)
            window = rotate_window(self._window, k, self._picture)
            seen = blind_branch(rotate(picture, k), layers, self._shifts.of_branch(k), window)
            return tf.cast(rotate(seen, -k), tf.float32)

    def close(self) -> None:
        """Frees the session; the object is of no use afterwards."""
        self._session.close()

    def denoise(
        self,
        picture: PaddedPicture,
        parameter: Sequence[float],
        side: int,
        put: Callable[..., None],
        done: Callable[[], None],
        maps: Sequence[str] = (),
    ) -> None:
        """Denoises a picture tile by tile.

        picture: padded, on the scale [0, 1].
        parameter: of the noise, one number or two, in the units of `posterior`.
        side: of the tiles in pixels; 0: one tile.
        put(region, posterior mean [h,w,C], *maps [h,w]): is called for parts that together cover the padded picture.
        done(): is called after each tile.
        maps: what is wanted beside the posterior mean, names of attributes of `Prediction`; nothing else is computed.
        """
        fetches = [self._result.posterior_mean, *(getattr(self._result, name) for name in maps)]
        for core in tiles(picture.height, picture.width, side):
            features = self._features_of(picture, core)
            rows = max(_HEAD_PIXELS // core.width, 1)
            for top in range(core.top, core.bottom, rows):
                part = Region(top, core.left, min(top + rows, core.bottom), core.right)
                feed = {
                    self._features: features[None, part.within(core)[0]],
                    self._picture: picture.read(part)[None],
                    self._parameter: np.reshape(parameter, [1, 1, 1, -1]),
                }
                put(part, *(found[0] for found in self._run(fetches, feed)))
            done()

    def mean_raw_parameter(
        self, picture: PaddedPicture, height: int, width: int, side: int, done: Callable[[], None],
        holes: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Averages the outputs [P] of the estimator of sigma_per_image over the pixels that are no padding and no holes.

        picture: padded, on the scale [0, 1].
        height, width: without the padding.
        side, done: as for `denoise`.
        holes: bool [height,width], true for the pixels that have no value; None: there are none.
        """
        total = np.zeros(self.configuration.noise.parameter_count)
        count = height * width if holes is None else np.count_nonzero(~holes)
        for core in tiles(picture.height, picture.width, side):
            around = surroundings(core, receptive_field(blind=False), 0, picture.height, picture.width)
            raw = self._run(self._raw_parameter, self._feed(picture, around, core))[0]
            inside = raw[: max(height - core.top, 0), : max(width - core.left, 0)]
            if holes is not None:
                inside = inside[~holes[core.top : core.bottom, core.left : core.right]][np.newaxis]
            total += inside.sum(axis=(0, 1), dtype=np.float64)
            done()
        return total / count

    def _features_of(self, picture: PaddedPicture, core: Region) -> np.ndarray:
        """Computes what the head sees of a core: float32 [h,w,96], or [h,w,384] of the four branches."""
        features = np.empty([core.height, core.width, len(self._turns), DECODER_CHANNELS], np.float32)
        for k in self._turns:
            field = receptive_field(self.configuration.blind_spot, self._shifts.of_branch(k))
            around = surroundings(core, field, k, picture.height, picture.width)
            # No name for the branch: it would live on during the next one.
            features[:, :, k] = self._run(self._branches[k], self._feed(picture, around, core))[0]
        return features.reshape(core.height, core.width, -1)

    def _feed(self, picture: PaddedPicture, around: Region, core: Region) -> dict:
        """Returns what the session is fed with for a core: its surroundings, and where it lies in them."""
        rows, columns = core.within(around)
        window = [rows.start, columns.start, rows.stop, columns.stop]
        return {self._picture: picture.read(around)[None], self._window: window}

    def _run(self, fetches, feed):
        """Runs the session; where memory runs out, the error names smaller tiles as the remedy."""
        with out_of_memory("take smaller tiles, e.g. --tile 256 (in Python tile=256)"):
            return self._session.run(fetches, feed)


def fitting_tile(height: int, width: int, budget: float, hole_size: HoleSize = 1) -> int:
    """Returns the side of the largest tiles, a multiple of 32, that fit in memory; 0 where the picture need not be cut.

    32 is the least, whatever the budget.

    height, width: of the picture in pixels, padded.
    budget: bytes that the network may take.
    hole_size: of the blind spot, see `Hole`.
    """
    shift = max(Hole.of(hole_size).shifts)
    r = receptive_field(blind=True, shift=shift)  # the plain network looks less far, and has one branch

    def needed(side: int) -> float:
        """Returns the bytes that tiles of a side take."""
        around = (side + r.up + r.down) * (side + 2 * r.side) * _AROUND_BYTES
        return around + side * side * (_CORE_BYTES + 4 * _FEATURE_BYTES)

    if height * width * (_AROUND_BYTES + _CORE_BYTES + 4 * _FEATURE_BYTES) <= budget:
        return 0
    side = 32
    while needed(side + 32) <= budget:
        side += 32
    return side
