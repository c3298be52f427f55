"""Which devices and workers a job has, as the command line or `TF_CONFIG` says it. No TensorFlow here."""

import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnnlib.errors import UserError

MOST_CPU_DEVICES = 64


@dataclass(frozen=True)
class Layout:
    """Says which devices and workers a job has. Raises UserError for what cannot be."""

    num_gpus: int | None = None  # of this process, None: all there are
    cpu_devices: int = 1  # parts that the CPU is split into, for tests
    workers: Sequence[str] = ()  # host:port of each process of the job, in order; none for a single one
    task: int = 0  # which of them this is
    worker_timeout: float = 300.0  # seconds without a sign of life after which a worker counts as lost

    def __post_init__(self):
        if self.num_gpus is not None and self.num_gpus < 0:
            raise UserError(f"--num-gpus {self.num_gpus}: must be at least 0 (0: use the CPU)")
        if not 1 <= self.cpu_devices <= MOST_CPU_DEVICES:
            raise UserError(f"--cpu-devices {self.cpu_devices}: must be from 1 to {MOST_CPU_DEVICES}")
        if self.cpu_devices > 1 and self.num_gpus != 0:
            raise UserError("--cpu-devices splits the CPU: give --num-gpus 0 with it")
        if self.cpu_devices > 1 and self.workers:
            raise UserError("--cpu-devices and --workers do not go together: a worker without GPUs is one device")
        for worker in self.workers:
            host, _, port = worker.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise UserError(f"--workers: {worker or 'an empty name'} is no host:port")
        if len(set(self.workers)) < len(self.workers):
            raise UserError("--workers: one is named twice; each needs a host:port of its own")
        if not 0 <= self.task < max(1, len(self.workers)):
            raise UserError(f"--task {self.task}: there are {len(self.workers)} workers, numbered from 0")
        if not self.worker_timeout >= 1:
            raise UserError(f"--worker-timeout {self.worker_timeout:g}: must be at least 1 second")

    @property
    def chief(self) -> bool:
        """Whether this is the process that writes."""
        return self.task == 0

    def check_minibatch(self, size: int, microbatch: int, replicas: int) -> None:
        """Raises UserError where a minibatch cannot be dealt out evenly to so many replicas, or a share of it not into
        microbatches (0: whatever fits)."""
        if size % replicas:
            raise UserError(
                f"--minibatch-size {size} cannot be dealt out to {replicas} devices: make it a multiple, or use fewer "
                "(--num-gpus, --cpu-devices, --workers)"
            )
        if microbatch and size // replicas % microbatch:
            raise UserError(
                f"--microbatch-size {microbatch}: each of {replicas} devices has {size // replicas} images a step, which is "
                "no multiple of it"
            )


def layout_from(
    environ: Mapping[str, str], num_gpus: int | None, cpu_devices: int | None, workers: str | None, task: int | None,
    worker_timeout: float | None,
) -> Layout:
    """Makes a Layout of the options as given, None where they are not; without `workers`, a cluster in TF_CONFIG counts.

    environ: the environment's variables.
    num_gpus, cpu_devices, task, worker_timeout: as in Layout.
    workers: host:port of each, with commas between them.

    Raises UserError.
    """
    names = workers.split(",") if workers is not None else []
    if workers is None and environ.get("TF_CONFIG"):
        names, task = _tf_config(environ["TF_CONFIG"], task)
    if not names and task is not None:
        raise UserError("--task is for --workers: it says which of them this is")
    if names and task is None:
        raise UserError("--task is missing: say which of the --workers this is, the first is 0")
    given = {"num_gpus": num_gpus, "cpu_devices": cpu_devices, "task": task, "worker_timeout": worker_timeout}
    return Layout(workers=tuple(names), **{name: value for name, value in given.items() if value is not None})


def free_addresses(count: int) -> list[str]:
    """Finds addresses for workers of one machine, on ports that nobody listens on."""
    with contextlib.ExitStack() as held:  # until all are found, lest one be found twice
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]


def _tf_config(text: str, task: int | None) -> tuple[list[str], int | None]:
    """Reads TF_CONFIG -> workers, task. A cluster of one is none."""
    try:
        config = json.loads(text)
        cluster = config.get("cluster", {})
        names = [*cluster.get("chief", []), *cluster.get("worker", [])]
        kind, index = config["task"]["type"], int(config["task"]["index"])
        index += len(cluster.get("chief", [])) if kind == "worker" else 0
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("TF_CONFIG in the environment is not as TensorFlow wants it; mend it, or unset it") from None
    if set(cluster) - {"chief", "worker"} or kind not in ("chief", "worker"):
        raise UserError("TF_CONFIG in the environment: only workers (and a chief) are used here, no other kinds")
    if len(names) < 2:
        return [], None
    return names, index if task is None else task
