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
    """The replicas of the graph, one a device. All workers must build the same graph, and run the same steps of it.

    on_gpu: whether they are GPUs; here: replicas of this process; count: of all; workers, task: processes, and which this
    is; chief: whether the first. Make it before any other use of TensorFlow, and build the graph under `scope()`. Raises
    UserError where there are fewer GPUs than asked for.
    """

    def __init__(self, layout: Layout | None = None):
        layout = layout or Layout()
        self.workers, self.task, self.chief = max(1, len(layout.workers)), layout.task, layout.chief
        with quiet_start():  # to look for GPUs where there are none is worth a line to CUDA
            gpus = _use_gpus(layout.num_gpus)
        cpus = _split_cpu(layout.cpu_devices)
        self.on_gpu = bool(gpus)
        self.here = len(gpus) or len(cpus)
        self.count = self.here * self.workers
        self._config = session_config()
        self._config.device_count.update({"CPU": len(cpus), **({} if gpus else {"GPU": 0})})
        self._target = ""
        self._exchanges: dict = {}
        with quiet_start():
            if layout.workers:
                self._join(list(layout.workers))
            elif self.here > 1:
                devices = [f"/gpu:{i}" for i in range(len(gpus))] or [f"/cpu:{i}" for i in range(len(cpus))]
                self.strategy = tf2.distribute.MirroredStrategy(devices)
            else:
                self.strategy = tf2.distribute.get_strategy()

    def _join(self, workers: list[str]) -> None:
        cluster = tf.train.ClusterSpec({"worker": workers})
        resolver = tf2.distribute.cluster_resolver.SimpleClusterResolver(cluster, task_type="worker", task_id=self.task)
        # The strategy looks here for its place, too.
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster.as_dict(), "task": {"type": "worker", "index": self.task}})
        self.strategy = tf2.distribute.MultiWorkerMirroredStrategy(resolver)
        self._config = self.strategy.update_config_proto(self._config)
        self._server = tf.distribute.Server(cluster, job_name="worker", task_index=self.task, config=self._config)
        self._target = self._server.target

    def scope(self):
        """Variables made in this context have a copy on each device."""
        return self.strategy.scope()

    def session(self):
        with quiet_start():
            return tf.Session(self._target, config=self._config)

    def run(self, function: Callable, *arguments: Sequence):
        """Builds `function` once a replica. arguments: each a sequence of tensors, one for each replica here.

        -> what it returned, for `local` or `sum`.
        """

        def spread(values: Sequence):
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group % self.here]
            )

        return self.strategy.run(function, args=tuple(spread(values) for values in arguments))

    def exchange(self, size: int):
        """A placeholder for `size` float64 numbers of this worker, and their sums over the workers. Made once a size."""
        if size not in self._exchanges:
            mine = tf.placeholder(tf.float64, [size])
            parts = [mine] + [tf.zeros([size], tf.float64)] * (self.here - 1)
            self._exchanges[size] = mine, self.sum(self.run(tf.identity, parts))
        return self._exchanges[size]

    def local(self, value) -> list:
        """The values of this process's replicas."""
        return list(self.strategy.experimental_local_results(value))

    def sum(self, value):
        """The sum over all replicas of all workers; known to all."""
        return self.strategy.reduce("SUM", value, axis=None)


def sum_over_workers(replicas: Replicas, session, values) -> np.ndarray:
    """The sum of each worker's values, float64 of one shape, in the same order of calls on all of them."""
    values = np.asarray(values, np.float64)
    if replicas.workers == 1:
        return values
    with session.graph.as_default(), replicas.scope():
        mine, total = replicas.exchange(values.size)
    return session.run(total, {mine: values.ravel()}).reshape(values.shape)


def broadcast(replicas: Replicas, session, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The chief's float32 arrays on every worker; of the others' only the shapes count."""
    mine = np.concatenate([np.ravel(array) for array in arrays.values()]) * float(replicas.chief)
    pieces = np.split(sum_over_workers(replicas, session, mine), np.cumsum([array.size for array in arrays.values()])[:-1])
    return {
        name: piece.reshape(array.shape).astype(np.float32)
        for (name, array), piece in zip(arrays.items(), pieces, strict=True)
    }


def _use_gpus(wanted: int | None) -> list:
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
    cpu = tf.config.list_physical_devices("CPU")[0]
    if parts > 1:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    return [cpu] * parts
