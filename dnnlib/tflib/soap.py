"""SOAP: Adam in a basis in which the gradients of a kernel are nearly uncorrelated.

Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson, Kakade: SOAP: Improving and stabilizing Shampoo using Adam, 2024
(arXiv 2409.11321), algorithm 3. The covariances are those of input channels and of output channels; the taps of a 3x3
kernel are independent of each other here, which keeps the matrices as small as the channels are few.

All N kernels of one shape [k,k,I,O] are moved together, as a stack [N,I,k*k,O]: a GPU waits for the launch of each
operation, not for what it computes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnlib.tflib.optimizer import Adam, assign, name_of
from dnnlib.tflib.runtime import tf

STEPS = "soap_steps"
EARLY_STEPS = 5  # the covariances change most at first: the bases follow after each of these
_SIDES = ("input", "output")  # of channels
_PARTS = ("mean", "square", "input_covariance", "output_covariance", "input_basis", "output_basis")


@dataclass(frozen=True)
class Soap(Adam):
    """Builds steps of SOAP for kernels [k,k,I,O] with more than one channel on both sides, and of Adam for all else.

    covariance_decay: of the means of the gradients' covariances, per step.
    refresh_interval: steps between two refreshments of the bases.
    """

    covariance_decay: float = 0.95
    refresh_interval: int = 10

    def _initial(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
        stacks, others = _stacks(shapes)
        values = {STEPS: np.float32(0)}  # exact up to 16,777,216
        for stack, names in stacks.items():
            k, _, inputs, outputs = shapes[names[0]]
            zeros = np.zeros([len(names), inputs, k * k, outputs], np.float32)
            bases = [np.tile(np.eye(size, dtype=np.float32), (len(names), 1, 1)) for size in (inputs, outputs)]
            first = zeros, zeros, *(np.zeros_like(basis) for basis in bases), *bases
            values |= {f"{stack}/{part}": value for part, value in zip(_PARTS, first, strict=True)}
        return super()._initial({name: shapes[name] for name in others}) | values

    def _count_step(self, state: Mapping) -> list:
        return [*super()._count_step(state), assign(state[STEPS], state[STEPS].read_value() + 1)]

    def _update_all(self, variables: Sequence, gradients: Sequence, state: Mapping, learning_rates: Sequence) -> list:
        by_name = {name_of(v): each for v, *each in zip(variables, variables, gradients, learning_rates, strict=True)}
        stacks, others = _stacks({name: v.shape.as_list() for name, (v, *_) in by_name.items()})

        # The moves, in the bases of the time before.
        correction = _bias_correction(state)
        kernels, moves, old, new = [], [], {}, {}
        for stack, names in stacks.items():
            stacked, stacked_gradients, (rate, *_) = zip(*(by_name[name] for name in names), strict=True)
            parts = {part: state[f"{stack}/{part}"].read_value() for part in _PARTS}
            stacked_moves, new_parts = self._moves(stacked_gradients, parts, rate * correction)
            kernels += stacked
            moves += stacked_moves
            old |= {f"{stack}/{part}": x for part, x in parts.items()}
            new |= {f"{stack}/{part}": x for part, x in new_parts.items()}
        new |= self._bases(stacks, old, new, state[STEPS].read_value())

        # All of it becomes the variables' values.
        with tf.control_dependencies([*moves, *new.values()]):  # nothing may be read after it was written
            moved = [
                tf.raw_ops.AssignSubVariableOp(resource=v.handle, value=move) for v, move in zip(kernels, moves, strict=True)
            ]
            kept = [assign(state[name], x) for name, x in new.items()]
        variables, gradients, learning_rates = zip(*(by_name[name] for name in others), strict=True)
        return moved + kept + super()._update_all(variables, gradients, state, learning_rates)

    def _moves(self, gradients: Sequence, old: Mapping, rate) -> tuple[list, dict]:
        """Returns how far each kernel of a stack goes, and the stack's new moments and covariances by part."""
        gradient = _channels_apart(tf.stack(gradients))
        direction, mean, square = self._direction(gradient, old)
        new = dict(zip(_PARTS, (mean, square, *self._covariances(gradient, old)), strict=False))  # all but the bases
        return tf.unstack(_as_kernels(rate * direction, gradients[0].shape)), new

    def _bases(self, stacks: Mapping, old: Mapping, new: Mapping, steps) -> dict:
        """Returns the bases by name, of all stacks: now and then new ones, that make the covariances diagonal."""
        sides = [f"{stack}/{side}" for stack in stacks for side in _SIDES]
        before = [old[f"{side}_basis"] for side in sides]
        due = (steps < EARLY_STEPS) | tf.equal(steps % self.refresh_interval, 0)
        bases = tf.cond(
            due,
            lambda: [_refreshed(x, new[f"{side}_covariance"]) for x, side in zip(before, sides, strict=True)],
            lambda: before,
        )
        return {f"{side}_basis": basis for side, basis in zip(sides, bases, strict=True)}

    def _direction(self, gradient, old: Mapping) -> tuple:
        """Returns where Adam in the old bases goes, and its new mean and mean square: [N,I,k*k,O] each."""
        bases = old["input_basis"], old["output_basis"]
        mean = self.beta1 * old["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * old["square"] + (1 - self.beta2) * tf.square(_rotated(gradient, *bases))
        direction = _rotated(mean, *bases) / (tf.sqrt(square) + self.epsilon)
        return _rotated(direction, *bases, back=True), mean, square

    def _covariances(self, gradient, old: Mapping) -> list:
        """Returns the new means of the products of input channels [N,I,I], and of those of output channels [N,O,O]."""
        decay = self.covariance_decay
        n, inputs, _, outputs = gradient.shape
        by_input, by_output = (tf.reshape(gradient, shape) for shape in ([n, inputs, -1], [n, -1, outputs]))
        products = tf.matmul(by_input, by_input, transpose_b=True), tf.matmul(by_output, by_output, transpose_a=True)
        return [decay * old[f"{side}_covariance"] + (1 - decay) * x for side, x in zip(_SIDES, products, strict=True)]


def _stacks(shapes: Mapping[str, Sequence[int]]) -> tuple[dict[str, list[str]], list[str]]:
    """Returns the names of the kernels that are moved together, by that of their stack, and the names of all else."""
    stacks, others = {}, []
    for name, shape in shapes.items():
        if len(shape) == 4 and min(shape[2:]) > 1:
            stacks.setdefault("soap_" + "x".join(str(size) for size in shape), []).append(name)
        else:
            others.append(name)
    return stacks, others


def _bias_correction(state: Mapping):
    """Returns the factor by which Adam's rate makes up for moments that began at zero; epsilon stays, as in TensorFlow's."""
    beta1_power, beta2_power = (state[name].read_value() for name in ("beta1_power", "beta2_power"))
    return tf.sqrt(1 - beta2_power) / (1 - beta1_power)


def _channels_apart(kernels):
    """Brings a stack [N,k,k,I,O] to [N,I,k*k,O], in which both kinds of channels can be multiplied without a copy."""
    n, k, _, inputs, outputs = kernels.shape
    return tf.transpose(tf.reshape(kernels, [n, k * k, inputs, outputs]), [0, 2, 1, 3])


def _as_kernels(x, shape):
    """Undoes `_channels_apart`. shape: [k,k,I,O]."""
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, *shape])


def _rotated(x, input_basis, output_basis, back: bool = False):
    """Changes the bases of the channels of x [N,I,k*k,O] to those whose axes are the columns of [N,I,I] and [N,O,O].

    back: whether to change them back from there.
    """
    n, inputs, taps, outputs = x.shape
    x = tf.matmul(input_basis, tf.reshape(x, [n, inputs, taps * outputs]), transpose_a=not back)
    x = tf.matmul(tf.reshape(x, [n, inputs * taps, outputs]), output_basis, transpose_b=back)
    return tf.reshape(x, [n, inputs, taps, outputs])


def _refreshed(basis, covariance):
    """Returns bases that are nearer to the covariances' eigenvectors: one step of orthogonal iteration."""
    q, _ = tf.linalg.qr(tf.matmul(covariance, basis))
    return q
