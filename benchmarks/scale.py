"""`make bench-scale`: how training scales over the devices and processes of this machine, one core for each replica.

Every replica gets one core and two images a step, whatever their number (weak scaling), so that images/s should grow with
it. The bytes and the time of the all-reduce are measured alone, and a model made of both is put beside the measured rate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dnnlib.tflib.layout import free_addresses  # noqa: E402

NAME = "gauss25-blindspot-sigma_known"
SHARE, CROP = 2, 64  # images a step of each replica, pixels
LINE = 4  # steps between two printed lines
LINES = 6


def main() -> None:
    """Measures everything, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--all-reduce", nargs=3, metavar=("WORKERS", "TASK", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.all_reduce:
        time_all_reduce(args.all_reduce[0].split(","), int(args.all_reduce[1]), int(args.all_reduce[2]))
    cores = sorted(os.sched_getaffinity(0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder, "samples.h5")
        tool = [sys.executable, ROOT / "dataset_tool_h5.py", "--input-dir", ROOT / "img/samples/train", "--out", shard]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL)
        for kind, count in [("one", 1), ("devices", 2), ("processes", 2), ("devices", 4), ("processes", 4), ("one", 1)]:
            if count <= len(cores):
                rows.append(measure(Path(folder), kind, count, cores))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report(rows, parameters())
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


def measure(folder: Path, kind: str, count: int, cores: list[int]) -> dict:
    """Trains, and returns the seconds of a step, the median over the printed lines, and of processes those of an all-reduce.

    folder: with the shard; results go there, too.
    kind: 'one', 'devices' or 'processes'.
    count: of the replicas.
    cores: numbers of the cores that may be used, one for each replica.
    """
    results = folder / f"{kind}-{count}-{time.monotonic_ns()}"
    batch = SHARE * count
    command = [
        sys.executable, ROOT / "selfsupervised_denoising.py", f"--train={NAME}", f"--train-h5={folder / 'samples.h5'}",
        f"--validation-set={ROOT / 'img/samples/eval'}", f"--train-resolution={CROP}", f"--minibatch-size={batch}",
        f"--num-iter={batch * LINE * (LINES + 2)}", f"--print-interval={batch * LINE}", "--eval-interval=1000000000",
        "--num-gpus=0", f"--result-dir={results}", "--precision=float32",
    ]  # fmt: skip
    reduce = None
    if kind == "processes":
        addresses = ",".join(free_addresses(count))
        workers = [*command, f"--workers={addresses}", "--open-ports"]
        together([[*workers, f"--task={k}"] for k in range(count)], [[core] for core in cores])
        reduce = all_reduce_seconds(count, cores)
    else:
        together([[*command, f"--cpu-devices={count}"]], [cores[:count]])
    lines = [json.loads(line) for line in next(results.glob("0*/stats.jsonl")).read_text().splitlines()]
    seconds = [line["time"] / LINE for line in lines[2:-1]]  # the first steps build, the last line validates
    return {"kind": kind, "replicas": count, "step": statistics.median(seconds), "spread": [min(seconds), max(seconds)],
            "all_reduce": reduce}  # fmt: skip


def together(commands: list, pins: list[list[int]]) -> str:
    """Runs commands at the same time, each on its cores, and returns what the first printed."""
    processes = [
        subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, text=True, preexec_fn=lambda c=cores: os.sched_setaffinity(0, c)
        )
        for command, cores in zip(commands, pins, strict=False)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a training failed, see above")
    return outputs[0]


def all_reduce_seconds(count: int, cores: list[int]) -> float:
    """Measures an all-reduce of all gradients over so many processes, each on a core of its own."""
    addresses = ",".join(free_addresses(count))
    script = [sys.executable, __file__, "--all-reduce", addresses]
    commands = [[*script, str(k), str(parameters())] for k in range(count)]
    return float(together(commands, [[core] for core in cores]).split()[-1])


def time_all_reduce(workers: list[str], task: int, size: int) -> None:
    """Prints the median seconds of summing so many float64 numbers over the workers."""
    import numpy as np

    from dnnlib.tflib.layout import Layout
    from dnnlib.tflib.replicas import Replicas, sum_over_workers
    from dnnlib.tflib.runtime import tf

    replicas = Replicas(Layout(num_gpus=0, workers=workers, task=task))
    with tf.Graph().as_default(), replicas.session() as session:
        seconds, values = [], np.ones(size)
        for _ in range(25):
            began = time.perf_counter()
            sum_over_workers(replicas, session, values)
            seconds.append(time.perf_counter() - began)
    print(statistics.median(seconds[5:]), flush=True)
    time.sleep(1)  # the others may still be reading
    os._exit(0)


def parameters() -> int:
    """Counts the numbers in the trained variables."""
    import numpy as np

    from dnnlib.denoising.configuration import Configuration
    from dnnlib.denoising.network.architecture import shapes_of

    return sum(int(np.prod(shape)) for shape in shapes_of(Configuration.from_name(NAME)).values())


def report(rows: list[dict], size: int) -> None:
    """Prints the table of what `measure` returned; size: of the gradients, in numbers."""
    one = statistics.mean(row["step"] for row in rows if row["replicas"] == 1)
    print(f"{NAME}, crops of {CROP}, {SHARE} images a replica, one core a replica; {size} parameters,")
    print(f"all-reduced as float64: {8 * size / 1e6:.1f} MB a step\n")
    print("| replicas | as | s/step (min, max) | images/s | efficiency | all-reduce alone, s | efficiency by the model |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        low, high = row["spread"]
        cells = [
            row["replicas"], row["kind"], f"{row['step']:.3f} ({low:.3f}, {high:.3f})",
            f"{SHARE * row['replicas'] / row['step']:.2f}", f"{one / row['step']:.2f}",
            *([f"{row['all_reduce']:.3f}", f"{one / (one + row['all_reduce']):.2f}"] if row["all_reduce"] else ["", ""]),
        ]  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
