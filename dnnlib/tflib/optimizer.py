"""Adam that skips a step whose gradients are not all finite, on any number of replicas."""

from collections.abc import Mapping

import numpy as np

from dnnlib.tflib.runtime import tf

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8  # SPEC 6.1
MOMENTS = ("Adam", "Adam_1")  # of gradients and of their squares


def adam_step(gradients, variables, count: int, learning_rate):
    """-> (train_op, finite). `finite` (bool scalar): whether the step is taken; if not, weights and moments stay.

    gradients: of one float type, one for each variable; they are summed over the replicas and divided by `count`.
    learning_rate: scalar tensor. Call it in a replica, as part of what `Replicas.run` builds; without a strategy
    there is one.
    """
    context = tf.distribute.get_replica_context()
    gradients, moments, powers = context.merge_call(_sum_and_make_moments, args=(variables, gradients))
    gradients = [tf.cast(g / count, tf.float32) for g in gradients]
    finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in gradients])

    def update():
        steps = [
            # The strategies' own optimizers cannot skip: they would have to meet inside the branch.
            tf.raw_ops.ResourceApplyAdam(
                var=v.handle, m=m.handle, v=s.handle, beta1_power=powers[0].read_value(), beta2_power=powers[1].read_value(),
                lr=learning_rate, beta1=BETA1, beta2=BETA2, epsilon=EPSILON, grad=g,
            )
            for v, (m, s), g in zip(variables, moments, gradients, strict=True)
        ]  # fmt: skip
        with tf.control_dependencies(steps):
            return tf.group(
                *(
                    tf.raw_ops.AssignVariableOp(resource=p.handle, value=p.read_value() * beta)
                    for p, beta in zip(powers, (BETA1, BETA2), strict=True)
                )
            )

    return tf.cond(finite, update, tf.no_op), finite


def initial_state(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values at the beginning of what `adam_step` makes beside the variables it trains (given by name)."""
    moments = {f"{name}/{kind}": np.zeros_like(value) for name, value in variables.items() for kind in MOMENTS}
    return moments | {"beta1_power": np.float32(BETA1), "beta2_power": np.float32(BETA2)}


def _sum_and_make_moments(strategy, variables, gradients):
    """Sums over the replicas, and the optimiser's variables: two moments for each, and the powers of both betas."""
    summed = strategy.extended.batch_reduce_to("SUM", list(zip(gradients, variables, strict=True)))

    def variable(name, shape, initializer):
        return tf.get_variable(name, shape, initializer=initializer, trainable=False)

    zeros = tf.zeros_initializer()
    moments = [tuple(variable(f"{_name(v)}/{kind}", v.shape, zeros) for kind in MOMENTS) for v in variables]
    powers = [variable(f"beta{i}_power", [], tf.constant_initializer(beta)) for i, beta in ((1, BETA1), (2, BETA2))]
    return summed, moments, powers


def _name(variable) -> str:
    return variable.name.partition(":")[0]
