"""The process in which `test_fuzzing` has files read: `python fuzz_child.py KIND FILE...`, with limits on time and memory.

For each file it prints a line before and one after: what came of it. It may be killed in between.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
from contextlib import closing
from pathlib import Path

SECONDS, GIGABYTE = 2.0, 1 << 30  # for each file: of CPU time, and of memory beyond what the imports take


def read_network(path: str) -> None:
    from dnnlib.tflib.network import load_network

    load_network(path)


def read_state(path: str) -> None:
    """A run directory with one state in it."""
    from dnnlib.denoising.training.state import load_newest_state

    load_newest_state(Path(path), quiet=True)


def read_clean_shard(path: str) -> None:
    from dnnlib.denoising.data.shard import Shard

    with closing(Shard(path, 8)) as shard:
        shard.check()


def read_noisy_shard(path: str) -> None:
    from dnnlib.denoising.data.noisy_pictures import held_out_pictures
    from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard

    for part in ("/", HELD_OUT):
        with closing(NoisyShard(path, 8, 3, part)) as shard:
            pictures = held_out_pictures(shard, None) if part == HELD_OUT else shard
            pictures.check()


def read_picture(path: str) -> None:
    """As --denoise does, and the shard tools; what can be read can be written, too."""
    from dnnlib.denoising.pictures import files
    from dnnlib.denoising.pictures.decided_scale import decided
    from dnnlib.denoising.pictures.scale import UNTOLD
    from dnnlib.errors import UserError

    header = files.read_header(path)
    picture = files.read_picture(path, writable_only=False)
    assert header.pages == len(picture.pages), f"{header.pages} pages by the header, {len(picture.pages)} in the picture"
    if picture.unwritable is None:
        out = f"{path}.out"
        picture.write(out, picture.pages)
        os.unlink(out)
    for number in picture.first:
        assert picture.pages[number].ndim == 3
    try:
        decided(picture, UNTOLD)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


READERS = {
    "network": read_network, "state": read_state, "clean shard": read_clean_shard, "noisy shard": read_noisy_shard,
    "picture": read_picture,
}  # fmt: skip


def outcome(read, path: str) -> str:
    """'result', 'refused: ...', or what no user should see."""
    from dnnlib.errors import UserError

    try:
        read(path)
    except UserError as error:
        text = str(error)
        if "\n" in text or not text:
            return f"not one line: {text!r}"
        # HDF5 has words of its own for it: it asks for what a damaged file claims, and takes nothing before it reads that.
        out_of_memory = any(words in text for words in ("fit in memory", "Unable to allocate", "MemoryError"))
        return f"{'no memory' if out_of_memory else 'refused'}: {text}"
    except BaseException:
        return traceback.format_exc()
    return "result"


def main(kind: str, paths: list[str]) -> None:
    read = READERS[kind]
    outcome(read, paths[0])  # a whole one: imports, and what is made once
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTE, used + GIGABYTE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where it is, then the signal ends the process
    for path in paths:
        print(json.dumps(["begin", path]), flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        said = outcome(read, path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(["end", path, said]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text().splitlines())
