"""Writes a network as a SavedModel, which TensorFlow Serving and `tf.saved_model.load` run without this program."""

import os
import shutil
import tempfile
from pathlib import Path

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.hole import HoleSize
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.errors import UserError, one_line
from dnnlib.files import temporary_prefix
from dnnlib.tflib.network import Network


def export(network_file: str | os.PathLike, out: str, hole_size: HoleSize | None = None) -> None:
    """Reads a network file and writes a SavedModel into the folder `out`, which must be empty or not there yet.

    hole_size: of the blind spot, within that of the training.
    Raises UserError for whatever is wrong with either; then there is nothing new at `out`.
    """
    if not out:
        raise UserError("--export: the name of the folder is empty")
    network, configuration = load_configured(network_file, "--network", hole_size)
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--export {out}: is there already; name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=temporary_prefix(folder), suffix=".tmp", dir=folder.parent)
    except OSError as error:
        raise UserError(f"--export {out}: cannot write there ({error.strerror}); name another folder") from error
    try:
        inputs, outputs = _save(network, configuration, Path(temporary) / "model")
        os.replace(Path(temporary) / "model", folder)  # an empty folder is replaced
    except OSError as error:
        raise UserError(f"--export {out}: cannot be written ({error.strerror or one_line(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"SavedModel of {configuration.name} written to {out}: signature serving_default, {inputs} -> {outputs}")


def _save(network: Network, configuration: Configuration, folder: Path) -> tuple[str, str]:
    """Writes the SavedModel, and returns the names of the signature's inputs and outputs."""
    from dnnlib.denoising.inference.export_graph import serving_graph  # late: it imports TensorFlow
    from dnnlib.tflib.runtime import create_session, initialize, tf

    with tf.Graph().as_default(), create_session() as session:
        level = configuration.noise.row.level.python_name if configuration.noise_params == "known" else ""
        inputs, outputs = serving_graph(configuration, level)
        initialize(session, network.variables)
        tf.get_logger().setLevel("ERROR")  # it warns that the function is of TensorFlow 1, whose graphs ours are
        try:
            tf.saved_model.simple_save(session, str(folder), inputs, outputs)
        except tf.errors.OpError as error:
            raise OSError(one_line(error)[:200]) from error
    return ", ".join(inputs), ", ".join(outputs)
