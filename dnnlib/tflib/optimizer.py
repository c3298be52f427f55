"""Adam that skips a step whose gradients are not all finite, on any number of replicas."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dnnlib.tflib.runtime import tf

MOMENTS = ("Adam", "Adam_1")  # of gradients and of their squares: what TensorFlow calls the variables


@dataclass(frozen=True)
class Adam:
    """Holds Adam's constants (Kingma, Ba, 2015), builds its step, and knows what variables that has at the beginning."""

    beta1: float
    beta2: float
    epsilon: float

    def step(self, gradients, variables, count: int, learning_rate):
        """Builds a step -> (train_op, finite). finite, a bool scalar: whether it is taken; if not, weights and moments stay.

        gradients: of one float type, one for each variable; they are summed over the replicas and divided by `count`.
        variables: those that are trained.
        count: of the images that the gradients were summed over, on all replicas.
        learning_rate: scalar tensor.

        Call it in a replica, as part of what `Replicas.run` builds; without a strategy there is one.
        """
        context = tf.distribute.get_replica_context()
        gradients, moments, powers = context.merge_call(self._sum_and_make_variables, args=(variables, gradients))
        gradients = [tf.cast(g / count, tf.float32) for g in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in gradients])

        def update():
            beta1_power, beta2_power = powers
            steps = [
                # The strategies' own optimizers cannot skip: they would have to meet inside the branch.
                tf.raw_ops.ResourceApplyAdam(
                    var=v.handle, m=m.handle, v=s.handle,
                    beta1_power=beta1_power.read_value(), beta2_power=beta2_power.read_value(),
                    lr=learning_rate, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon, grad=g,
                )
                for v, (m, s), g in zip(variables, moments, gradients, strict=True)
            ]  # fmt: skip
            with tf.control_dependencies(steps):
                return tf.group(_multiply(beta1_power, self.beta1), _multiply(beta2_power, self.beta2))

        return tf.cond(finite, update, tf.no_op), finite

    def initial_state(self, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the first values of what `step` makes beside the variables it trains (given by name)."""
        moments = {f"{name}/{kind}": np.zeros_like(value) for name, value in variables.items() for kind in MOMENTS}
        return moments | {"beta1_power": np.float32(self.beta1), "beta2_power": np.float32(self.beta2)}

    def _sum_and_make_variables(self, strategy, variables, gradients):
        """Sums over the replicas, and makes Adam's variables: two moments for each, and the powers of both betas."""
        summed = strategy.extended.batch_reduce_to("SUM", list(zip(gradients, variables, strict=True)))

        def variable(name, shape, initializer):
            return tf.get_variable(name, shape, initializer=initializer, trainable=False)

        zeros = tf.zeros_initializer()
        moments = [tuple(variable(f"{_name(v)}/{kind}", v.shape, zeros) for kind in MOMENTS) for v in variables]
        beta1_power = variable("beta1_power", [], tf.constant_initializer(self.beta1))
        beta2_power = variable("beta2_power", [], tf.constant_initializer(self.beta2))
        return summed, moments, (beta1_power, beta2_power)


def _multiply(variable, factor: float):
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=variable.read_value() * factor)


def _name(variable) -> str:
    return variable.name.partition(":")[0]
