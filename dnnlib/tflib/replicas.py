"""The devices that share a training step: those of this process, and those of other workers. `tf.distribute` inside a graph.

One device has TensorFlow's default strategy, several of one process `MirroredStrategy`, several processes
`MultiWorkerMirroredStrategy`; the graph is built by the same code for all of them.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dnnlib.errors import UserError
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.runtime import quiet_start, session_config, tf

with quiet_start():
    import tensorflow as tf2


class Replicas:
    """Replicates the graph, once a device. All workers must build the same graph, and run the same steps of it.

    on_gpu: whether they are GPUs.
    local_count, count: replicas of this process, and of all.
    workers, task: processes of the job, and which of them this is; chief: whether it is the first.

    Make it before any other use of TensorFlow, and build the graph under `scope()`. Raises UserError where there are fewer
    GPUs than asked for.
    """

    def __init__(self, layout: Layout | None = None):
        """Takes the devices, and joins the other workers. layout: None for all GPUs of this machine, or else its CPU."""
        # Devices.
        layout = layout or Layout()
        self.workers, self.task, self.chief = max(1, len(layout.workers)), layout.task, layout.chief
        with quiet_start():  # to look for GPUs where there are none is worth a line to CUDA
            gpus = _use_gpus(layout.num_gpus)
        cpus = _split_cpu(layout.cpu_devices)
        self.on_gpu = bool(gpus)
        self.local_count = len(gpus) or len(cpus)
        self.count = self.local_count * self.workers
        # Session.
        self._config = session_config()
        self._config.device_count.update({"CPU": len(cpus), **({} if gpus else {"GPU": 0})})
        self._target = ""
        self._worker_sums: dict = {}  # by size
        # Strategy.
        with quiet_start():
            if layout.workers:
                self._join(list(layout.workers))
            elif self.local_count > 1:
                devices = [f"/gpu:{i}" for i in range(len(gpus))] or [f"/cpu:{i}" for i in range(len(cpus))]
                self.strategy = tf2.distribute.MirroredStrategy(devices)
            else:
                self.strategy = tf2.distribute.get_strategy()

    def _join(self, workers: list[str]) -> None:
        """Starts this worker's server, and makes the strategy of several processes. workers: host:port of each."""
        cluster = tf.train.ClusterSpec({"worker": workers})
        resolver = tf2.distribute.cluster_resolver.SimpleClusterResolver(cluster, task_type="worker", task_id=self.task)
        # The strategy looks here for its place, too.
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster.as_dict(), "task": {"type": "worker", "index": self.task}})
        self.strategy = tf2.distribute.MultiWorkerMirroredStrategy(resolver)
        self._config = self.strategy.update_config_proto(self._config)
        self._server = tf.distribute.Server(cluster, job_name="worker", task_index=self.task, config=self._config)
        self._target = self._server.target

    def scope(self):
        """Returns a context in which variables get a copy on each device."""
        return self.strategy.scope()

    def session(self):
        """Opens a session on the current graph, on the devices of this process."""
        with quiet_start():
            return tf.Session(self._target, config=self._config)

    def run(self, function: Callable, *arguments: Sequence):
        """Builds `function` once a replica, and returns what it returned, for `local`, `sum` or `sum_by_name`.

        arguments: each a sequence of tensors, one for each replica of this process.
        """

        def spread(values: Sequence):
            """Gives each replica of this process its own of the values."""
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group % self.local_count]
            )

        return self.strategy.run(function, args=tuple(spread(values) for values in arguments))

    def local(self, value) -> list:
        """Returns the values of this process's replicas; of a dict, a dict for each of them."""
        if not isinstance(value, dict):
            return list(self.strategy.experimental_local_results(value))
        by_name = {name: self.local(part) for name, part in value.items()}
        return [{name: values[i] for name, values in by_name.items()} for i in range(self.local_count)]

    def sum(self, value):
        """Returns the sum over all replicas of all workers; it is known to all."""
        return self.strategy.reduce("SUM", value, axis=None)

    def sum_by_name(self, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the sums over all replicas of scalars of one type. All of them go from worker to worker together."""
        names = sorted(values)  # the same order on all workers: dicts that `run` returns have none
        vector = self.strategy.run(lambda scalars: tf.stack([scalars[name] for name in names]), args=(dict(values),))
        return dict(zip(names, tf.unstack(self.sum(vector), num=len(names)), strict=True))

    def worker_sum(self, size: int):
        """Returns a placeholder for `size` float64 numbers of this worker, and their sums over the workers.

        They are made once for each size.
        """
        if size not in self._worker_sums:
            numbers = tf.placeholder(tf.float64, [size])
            others = [tf.zeros([size], tf.float64)] * (self.local_count - 1)
            self._worker_sums[size] = numbers, self.sum(self.run(tf.identity, [numbers, *others]))
        return self._worker_sums[size]


def sum_over_workers(replicas: Replicas, session, values) -> np.ndarray:
    """Returns the sum of each worker's values, float64 of one shape. All workers must make the same calls in one order."""
    values = np.asarray(values, np.float64)
    if replicas.workers == 1:
        return values
    with session.graph.as_default(), replicas.scope():
        numbers, total = replicas.worker_sum(values.size)
    return session.run(total, {numbers: values.ravel()}).reshape(values.shape)


def broadcast(replicas: Replicas, session, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the chief's arrays on every worker; of the others' only shapes and types count.

    Types are those that float64 holds exactly.
    """
    sent = {name: array if replicas.chief else np.zeros_like(array) for name, array in arrays.items()}
    return {name: sum_over_workers(replicas, session, array).astype(array.dtype) for name, array in sent.items()}


def one_gpu() -> int:
    """Returns how many GPUs to use for steps that are too small to be shared: 1, or 0 where there is none."""
    with quiet_start():
        return min(1, len(tf.config.list_physical_devices("GPU")))


def _use_gpus(wanted: int | None) -> list:
    """Returns the GPUs to use, and hides the others. wanted: how many, None: all. Raises UserError where there are fewer."""
    gpus = tf.config.list_physical_devices("GPU")
    if wanted is not None and wanted > len(gpus):
        raise UserError(f"--num-gpus {wanted}: TensorFlow sees {len(gpus)}; give at most so many (0: use the CPU)")
    if wanted is not None and wanted < len(gpus):
        gpus = gpus[:wanted]
        tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return gpus


def _split_cpu(parts: int) -> list:
    """Makes so many devices of the CPU, and returns it as often."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if parts > 1:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    return [cpu] * parts
