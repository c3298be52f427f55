"""A training on a disk that is really full: one clear line, nothing broken, and `--resume` goes on once there is room."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from material import random_images, write_bare_shard, write_picture

PROGRAM = Path(__file__).resolve().parent.parent / "selfsupervised_denoising.py"
NAME = "gauss25-blindspot-sigma_known"
OPTIONS = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 32 --minibatch-size 2 --num-iter 12 "
    "--print-interval 2 --result-dir"
)
LIMIT = 300  # seconds, for machines that do other work

# A file system in memory, which nobody else sees and which is gone with the last process. Once the run has saved its first
# state, a filler takes all room but $1 bytes; when the run has ended it is removed, and the run resumed.
SCRIPT = """
mount -t tmpfs -o size=100m tmpfs disk || exit 99
left=$1; shift
"$@" >first.txt 2>&1 &
while [ ! -e "$(echo disk/0*/training-state-00000000.state)" ]; do kill -0 $! || exit 98; sleep 0.02; done
cat /dev/zero >disk/filler 2>/dev/null
truncate -s -$left disk/filler
wait $!; echo $? >first_status.txt
ls -A disk/0* >listing.txt
rm disk/filler
"$@" --resume >second.txt 2>&1; echo $? >second_status.txt
cp disk/0*/network-final* final.pickle
"""


def may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the inputs, and `expected.pickle`, the network of an undisturbed run."""
    place = tmp_path_factory.mktemp("full")
    write_bare_shard(place / "shard.h5", random_images([(40, 50), (32, 32)]))
    write_picture(place / "own" / "a.png", 32, 30)
    subprocess.run([sys.executable, PROGRAM, *OPTIONS.split(), "roomy"], cwd=place, check=True, timeout=LIMIT)
    (found,) = (place / "roomy").glob("0*/network-final-*")
    found.rename(place / "expected.pickle")
    return place


CASES = [
    ("state", 6_000_000, "--state-interval 6", r"training-state-00000006.state: cannot be saved (No space left on device)"),
    ("picture", 0, "", "_nsy.jpg: No space left on device"),
    ("line", 20_480, "", "stats.jsonl: cannot be written (No space left on device)"),
    ("network", 1_000_000, "", f"-{NAME}.pickle: cannot be written (No space left"),
]


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="this system does not let us mount a small file system (unshare -rm)")
@pytest.mark.parametrize(("name", "left", "more", "message"), CASES)
def test_full_disk(place, name, left, more, message):
    folder = place / name
    (folder / "disk").mkdir(parents=True)
    for source in ("shard.h5", "own"):
        (folder / source).symlink_to(place / source)
    program = [sys.executable, str(PROGRAM), *OPTIONS.split(), "disk", *more.split()]
    command = ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", str(left), *program]
    subprocess.run(command, cwd=folder, check=True, timeout=LIMIT)

    printed = (folder / "first.txt").read_text()
    assert int((folder / "first_status.txt").read_text()) == 1, printed
    assert "Traceback" not in printed and printed.count("Error: ") == 1 and message in printed.splitlines()[-1]
    listing = (folder / "listing.txt").read_text()
    assert "training-state-00000000.state" in listing and ".tmp" not in listing
    assert int((folder / "second_status.txt").read_text()) == 0, (folder / "second.txt").read_text()
    assert (folder / "final.pickle").read_bytes() == (place / "expected.pickle").read_bytes()
