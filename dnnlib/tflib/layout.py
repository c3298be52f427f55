"""Which devices and workers a job has, as the command line or `TF_CONFIG` says it. No TensorFlow here."""

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dnnlib.errors import UserError
from dnnlib.option_fields import check_values, given_for, option

DEVICES = "devices (default: all GPUs of this machine, or else its CPU)"  # the group of their options in `--help`
_device_option = partial(option, group=DEVICES, free_on_resume=True)


def worker_names(text: str) -> tuple[str, ...]:
    """Takes apart what is given as --workers: host:port of each, with commas between."""
    return tuple(text.split(","))


@dataclass(frozen=True)
class Layout:
    """Says which devices this process uses, and which processes the job consists of. Raises UserError for what cannot be."""

    num_gpus: int | None = _device_option(
        None, "GPUs to use; 0: the CPU", metavar="N", at_least=0, must_be="at least 0 (0: use the CPU)",
        commands=("train", "eval"),
    )  # fmt: skip
    cpu_devices: int = _device_option(
        1, "split the CPU into so many devices, for tests", metavar="N", at_least=1, at_most=64, commands=("train", "eval")
    )
    workers: tuple[str, ...] = _device_option(
        (), "all processes of the job", metavar="HOST:PORT,...", default_text="from TF_CONFIG", parse=worker_names,
        commands=("train",),
    )  # fmt: skip
    task: int = _device_option(
        0, "which of the workers this is; the first, 0, is the one that writes", metavar="K", default_text="",
        commands=("train",),
    )  # fmt: skip
    open_ports: bool = _device_option(
        False, "workers all on this machine: start although others could reach their ports, and run code through them",
        commands=("train",),
    )  # fmt: skip
    worker_timeout: float = _device_option(
        300.0, "seconds after which a silent worker is lost, and all end with status 75", metavar="S", at_least=1,
        must_be="at least 1 second", commands=("train",),
    )  # fmt: skip

    def __post_init__(self):
        check_values(self)
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

    @property
    def chief(self) -> bool:
        """Tells whether this is the process that writes."""
        return self.task == 0

    def check_minibatch(self, size: int, microbatch: int, replicas: int) -> None:
        """Raises UserError where a minibatch cannot be dealt out evenly to replicas, or a share of it to microbatches.

        size: of the minibatch, in images.
        microbatch: images that go through the network at a time, 0: whatever fits.
        replicas: how many there are.
        """
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


def layout_from(environ: Mapping[str, str], given: Mapping[str, Any]) -> Layout:
    """Makes the layout that the command line gives, or, where it names no workers, a cluster in TF_CONFIG.

    environ: the environment; given: the options that were given, by their names in Layout. Raises UserError.
    """
    values = given_for(Layout, given)
    if "workers" not in values and environ.get("TF_CONFIG"):
        values |= _tf_config(environ["TF_CONFIG"], values.pop("task", None))
    if not values.get("workers") and "task" in values:
        raise UserError("--task is for --workers: it says which of them this is")
    if values.get("workers") and "task" not in values:
        raise UserError("--task is missing: say which of the --workers this is, the first is 0")
    return Layout(**values)


def free_addresses(count: int) -> list[str]:
    """Finds addresses for workers of one machine, on ports that nobody listens on."""
    with contextlib.ExitStack() as held:  # until all are found, lest one be found twice
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]


def _tf_config(text: str, task: int | None) -> dict[str, Any]:
    """Returns the workers and the task of a cluster, as fields of Layout; nothing for a cluster of one.

    text: as in the environment; task: as given on the command line, where it is, which counts then.
    """
    try:
        config = json.loads(text)
        cluster = config.get("cluster", {})
        names = (*cluster.get("chief", []), *cluster.get("worker", []))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        index += len(cluster.get("chief", [])) if kind == "worker" else 0
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("TF_CONFIG in the environment is not as TensorFlow wants it; mend it, or unset it") from None
    if set(cluster) - {"chief", "worker"} or kind not in ("chief", "worker"):
        raise UserError("TF_CONFIG in the environment: only workers (and a chief) are used here, no other kinds")
    return {"workers": names, "task": index if task is None else task} if len(names) > 1 else {}
