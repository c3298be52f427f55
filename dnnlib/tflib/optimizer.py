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

    def step(self, gradients: Sequence, variables: Sequence, learning_rates: Sequence):
        """Builds a step, and returns its op and a bool scalar that tells whether it is taken; if not, nothing changes.

        It is taken where the norm over all gradients is finite.

        gradients: of one float type, one for each variable; they are summed over the replicas.
        variables: those that are trained.
        learning_rates: scalar tensors, one for each variable; the same one for all kernels of one shape.

        Call it in a replica, as part of what `Replicas.run` builds; without a strategy there is one.
        """
        # Gradients, of all replicas.
        context = tf.distribute.get_replica_context()
        gradients, state = context.merge_call(self._sum_and_make_variables, args=(variables, gradients))
        gradients = [tf.cast(g, tf.float32) for g in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, use_norm=norm)

        # The step.
        def update():
            """Builds the ops that change all variables and counters."""
            with tf.control_dependencies(self._update_all(variables, gradients, state, learning_rates)):
                return tf.group(*self._count_step(state))

        finite = tf.is_finite(norm)
        return tf.cond(finite, update, tf.no_op), finite

    def initial_state(self, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the first values of what `step` makes beside the variables it trains (given by name)."""
        return self._initial({name: np.shape(value) for name, value in variables.items()})

    def _sum_and_make_variables(self, strategy, variables, gradients):
        """Sums over the replicas, and makes the optimiser's variables, which it returns by name."""
        summed = strategy.extended.batch_reduce_to("SUM", list(zip(gradients, variables, strict=True)))
        zeros = tf.zeros_initializer()  # the first values are loaded afterwards
        state = {
            name: tf.get_variable(name, first.shape, initializer=zeros, trainable=False)
            for name, first in self._initial({name_of(v): v.shape.as_list() for v in variables}).items()
        }
        return summed, state

    def _count_step(self, state: Mapping) -> list:
        """Builds the ops that move the counters on after a step."""
        return [
            assign(state["beta1_power"], state["beta1_power"].read_value() * self.beta1),
            assign(state["beta2_power"], state["beta2_power"].read_value() * self.beta2),
        ]

    def _initial(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
        """Returns the first values of the optimiser's own variables, float32 by name: here those that all optimisers have.

        shapes: of the variables that are trained, by name.
        """
        return {"beta1_power": np.float32(self.beta1), "beta2_power": np.float32(self.beta2)}

    @abc.abstractmethod
    def _update_all(self, variables: Sequence, gradients: Sequence, state: Mapping, learning_rates: Sequence) -> list:
        """Builds the ops that move all variables; the arguments are those of `step`.

        gradients: float32, of the variables' shapes.
        state: the variables made from `_initial`, by name.
        """


class Adam(Optimizer):
    """Builds steps of Adam (Kingma, Ba: Adam: A method for stochastic optimization, 2015), SPEC 6.1."""

    def _initial(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
        moments = {
            f"{name}/{part}": np.zeros(shape, np.float32) for name, shape in shapes.items() for part in ADAM_MOMENTS
        }
        return super()._initial(shapes) | moments

    def _update_all(self, variables: Sequence, gradients: Sequence, state: Mapping, learning_rates: Sequence) -> list:
        # The strategies' own optimizers cannot skip a step: they would have to meet inside the branch.
        powers = {name: state[name].read_value() for name in ("beta1_power", "beta2_power")}
        updates = []
        for variable, gradient, rate in zip(variables, gradients, learning_rates, strict=True):
            mean, square = (state[f"{name_of(variable)}/{part}"] for part in ADAM_MOMENTS)
            updates.append(
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle, m=mean.handle, v=square.handle, **powers,
                    lr=rate, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon, grad=gradient,
                )
            )  # fmt: skip
        return updates


def name_of(variable) -> str:
    """Returns the name that a variable has in the files of networks and states."""
    return variable.name.partition(":")[0]


def assign(variable, value):
    """Assigns without the strategies' checks, which do not allow it in a branch: all replicas assign the same."""
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
