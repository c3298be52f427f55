"""Adam, and what optimisers share: gradients summed over replicas, clipped, and steps skipped that are not finite."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnlib.tflib.runtime import tf

ADAM_MOMENTS = ("Adam", "Adam_1")  # of gradients and of their squares: what TensorFlow calls the variables


@dataclass(frozen=True)
class Optimizer(abc.ABC):
    """Holds the constants that all optimisers here have, builds their step, and knows its variables at the beginning.

    beta1, beta2: decay of the means of gradients and of their squares, per step.
    epsilon: added to the root of the latter.
    clip_norm: the norm over all gradients to which a larger one is scaled down; 0: none is.
    """

    beta1: float
    beta2: float
    epsilon: float
    clip_norm: float = 0.0

    def step(self, gradients: Sequence, variables: Sequence, count: int, learning_rates: Sequence):
        """Builds a step, and returns its op and a bool scalar that tells whether it is taken; if not, nothing changes.

        gradients: of one float type, one for each variable; they are summed over the replicas and divided by `count`.
        variables: those that are trained.
        count: of the images that the gradients were summed over, on all replicas.
        learning_rates: scalar tensors, one for each variable.

        Call it in a replica, as part of what `Replicas.run` builds; without a strategy there is one.
        """
        # Gradients, of all replicas.
        context = tf.distribute.get_replica_context()
        gradients, states, counters = context.merge_call(self._sum_and_make_variables, args=(variables, gradients))
        gradients = [tf.cast(g / count, tf.float32) for g in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in gradients])
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm)

        # The step.
        def update():
            """Builds the ops that change all variables and counters."""
            updates = []
            for v, g, state, rate in zip(variables, gradients, states, learning_rates, strict=True):
                updates += self._update(v, g, state, counters, rate)
            with tf.control_dependencies(updates):
                return tf.group(*self._count_step(counters))

        return tf.cond(finite, update, tf.no_op), finite

    def initial_state(self, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the first values of what `step` makes beside the variables it trains (given by name)."""
        state = {}
        for name, value in variables.items():
            state |= {f"{name}/{part}": first for part, first in self._initial(value.shape).items()}
        return state | self._initial_counters()

    def _sum_and_make_variables(self, strategy, variables, gradients):
        """Sums over the replicas, and makes the optimiser's variables: of each one trained, and counters."""
        summed = strategy.extended.batch_reduce_to("SUM", list(zip(gradients, variables, strict=True)))

        def make(initial: Mapping[str, np.ndarray], prefix: str = "") -> dict:
            """Makes a variable for each of these first values; prefix: of their names."""
            zeros = tf.zeros_initializer()  # the first values are loaded afterwards
            return {
                part: tf.get_variable(prefix + part, first.shape, initializer=zeros, trainable=False)
                for part, first in initial.items()
            }

        states = [make(self._initial(v.shape.as_list()), f"{v.name.partition(':')[0]}/") for v in variables]
        return summed, states, make(self._initial_counters())

    def _initial_counters(self) -> dict[str, np.ndarray]:
        """Returns the first values of what all trained variables share, by name."""
        return {"beta1_power": np.float32(self.beta1), "beta2_power": np.float32(self.beta2)}

    def _count_step(self, counters: Mapping) -> list:
        """Builds the ops that move the counters on after a step."""
        return [
            assign(counters["beta1_power"], counters["beta1_power"].read_value() * self.beta1),
            assign(counters["beta2_power"], counters["beta2_power"].read_value() * self.beta2),
        ]

    @abc.abstractmethod
    def _initial(self, shape: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns the first values of what belongs to a trained variable of that shape, float32 by name."""

    @abc.abstractmethod
    def _update(self, variable, gradient, state: Mapping, counters: Mapping, learning_rate) -> list:
        """Builds the ops that move one variable.

        variable: the trained one.
        gradient: float32, of its shape.
        state, counters: the variables made from `_initial` and `_initial_counters`, by name.
        learning_rate: a scalar tensor.
        """


class Adam(Optimizer):
    """Builds steps of Adam (Kingma, Ba: Adam: A method for stochastic optimization, 2015), SPEC 6.1."""

    def _initial(self, shape: Sequence[int]) -> dict[str, np.ndarray]:
        return {part: np.zeros(shape, np.float32) for part in ADAM_MOMENTS}

    def _update(self, variable, gradient, state: Mapping, counters: Mapping, learning_rate) -> list:
        # The strategies' own optimizers cannot skip a step: they would have to meet inside the branch.
        mean, square = (state[part] for part in ADAM_MOMENTS)
        return [
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=mean.handle, v=square.handle,
                beta1_power=counters["beta1_power"].read_value(), beta2_power=counters["beta2_power"].read_value(),
                lr=learning_rate, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon, grad=gradient,
            )
        ]  # fmt: skip


def assign(variable, value):
    """Assigns without the strategies' checks, which do not allow it in a branch: all replicas assign the same."""
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
