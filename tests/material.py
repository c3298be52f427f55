"""What several tests need: pictures, shards and network files, small and quick to make."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.tflib.network import Network, save_network


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3]: a few waves, so that there is something to learn, unlike in white noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width][:, :, :, np.newaxis]
    frequencies, phases = random.uniform(0.02, 0.2, (2, 3)), random.uniform(0, 6, (2, 3))
    waves = np.sin(frequencies[0] * y + phases[0]) + np.sin(frequencies[1] * x + phases[1])
    return (127.5 + 50 * waves).astype(np.uint8)


def noisy_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [H,W,3], `smooth_picture` with noise of sigma 25."""
    noise = np.random.default_rng(seed).standard_normal([height, width, 3])
    return np.clip(smooth_picture(height, width, seed) + 25 * noise, 0, 255).astype(np.uint8)


def write_picture(path: Path, height: int, width: int, seed: int = 0, grey: bool = False) -> np.ndarray:
    """Writes a smooth picture in the format of the suffix; returns the pixels that were given to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = smooth_picture(height, width, seed)
    if grey:
        pixels = pixels[:, :, 0]
    Image.fromarray(pixels).save(path)
    return pixels


def random_images(sizes: Iterable[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    """uint8 [3, height, width] for each (height, width)."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (3, *size), np.uint8) for size in sizes]


def write_bare_shard(path: Path, images: Iterable[np.ndarray], shapes=None, dtype=np.uint8) -> Path:
    """A shard in the layout of SPEC 8, of images of any size [3, H, W]; `shapes` replaces the true ones."""
    images = list(images)
    with h5py.File(path, "w") as file:
        values = file.create_dataset("images", (len(images),), h5py.vlen_dtype(dtype))
        for i, image in enumerate(images):
            values[i] = image.astype(dtype).ravel()
        true_shapes = np.array([image.shape for image in images], np.int32).reshape(-1, 3)
        file["shapes"] = true_shapes if shapes is None else np.asarray(shapes)
    return path


def fresh_network(name: str, seed: int = 1) -> Network:
    """The untrained network of a configuration."""
    configuration = Configuration.from_name(name)
    return to_network(configuration, initial_variables(shapes_of(configuration), seed))


def write_network(path: Path, name: str) -> Path:
    save_network(fresh_network(name), path)
    return path
