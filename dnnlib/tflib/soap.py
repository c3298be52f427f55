"""SOAP: Adam in a basis in which the gradients of a kernel are nearly uncorrelated.

Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson, Kakade: SOAP: Improving and stabilizing Shampoo using Adam, 2024
(arXiv 2409.11321), algorithm 3. The covariances are those of input channels and of output channels; the taps of a 3x3
kernel are independent of each other here, which keeps the matrices as small as the channels are few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnlib.tflib.optimizer import Adam, assign
from dnnlib.tflib.runtime import tf

STEPS = "soap_steps"
EARLY_STEPS = 5  # the covariances change most at first: the bases follow after each of these


@dataclass(frozen=True)
class Soap(Adam):
    """Builds steps of SOAP for kernels [k,k,I,O] with more than one channel on both sides, and of Adam for all else.

    covariance_decay: of the means of the gradients' covariances, per step.
    refresh_interval: steps between two refreshments of the bases.
    """

    covariance_decay: float = 0.95
    refresh_interval: int = 10

    def _initial(self, shape: Sequence[int]) -> dict[str, np.ndarray]:
        if not _is_preconditioned(shape):
            return super()._initial(shape)
        *_, inputs, outputs = shape
        return {
            "mean": np.zeros(shape, np.float32), "square": np.zeros(shape, np.float32),
            "input_covariance": np.zeros([inputs, inputs], np.float32), "input_basis": np.eye(inputs, dtype=np.float32),
            "output_covariance": np.zeros([outputs, outputs], np.float32), "output_basis": np.eye(outputs, dtype=np.float32),
        }  # fmt: skip

    def _initial_counters(self) -> dict[str, np.ndarray]:
        return super()._initial_counters() | {STEPS: np.float32(0)}  # exact up to 16,777,216

    def _count_step(self, counters: Mapping) -> list:
        return [*super()._count_step(counters), assign(counters[STEPS], counters[STEPS].read_value() + 1)]

    def _update(self, variable, gradient, state: Mapping, counters: Mapping, learning_rate) -> list:
        if not _is_preconditioned(variable.shape.as_list()):
            return super()._update(variable, gradient, state, counters, learning_rate)
        value = {part: v.read_value() for part, v in state.items()}
        basis = value["input_basis"], value["output_basis"]

        # Adam, in the basis of the time before.
        mean = self.beta1 * value["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * value["square"] + (1 - self.beta2) * _rotated(gradient, *basis) ** 2
        direction = _rotated(mean, *basis) / (tf.sqrt(square) + self.epsilon)
        direction = _rotated(direction, *(tf.transpose(b) for b in basis))
        # As TensorFlow's Adam does it: the bias is taken out of the rate, and epsilon stays as it is.
        beta1_power, beta2_power = (counters[name].read_value() for name in ("beta1_power", "beta2_power"))
        rate = learning_rate * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        moved = variable.read_value() - rate * direction

        # The covariances, and now and then the bases that make them diagonal.
        decay = self.covariance_decay
        covariance = [
            decay * value[part] + (1 - decay) * product
            for part, product in zip(("input_covariance", "output_covariance"), _covariances(gradient), strict=True)
        ]
        steps = counters[STEPS].read_value()
        due = (steps < EARLY_STEPS) | tf.equal(steps % self.refresh_interval, 0)
        basis = tf.cond(due, lambda: [_refreshed(c, b) for c, b in zip(covariance, basis, strict=True)], lambda: list(basis))

        # All of it becomes the variables' values.
        input_covariance, output_covariance = covariance
        input_basis, output_basis = basis
        new = {
            "mean": mean, "square": square, "input_covariance": input_covariance, "input_basis": input_basis,
            "output_covariance": output_covariance, "output_basis": output_basis,
        }  # fmt: skip
        with tf.control_dependencies([moved, *new.values()]):  # nothing may be read after it was written
            return [assign(variable, moved), *(assign(state[part], x) for part, x in new.items())]


def _is_preconditioned(shape: Sequence[int]) -> bool:
    """Tells whether a variable of that shape gets bases of its own."""
    return len(shape) == 4 and min(shape[2:]) > 1


def _rotated(x, input_basis, output_basis):
    """Changes the bases of a kernel's channels: x [k,k,I,O], bases [I,I] and [O,O], whose columns are the new axes."""
    taps = tf.reshape(x, [-1, x.shape[2], x.shape[3]])
    return tf.reshape(tf.matmul(tf.matmul(input_basis, taps, transpose_a=True), output_basis), x.shape)


def _covariances(gradient) -> tuple:
    """Returns the sums over all else of products of input channels [I,I], and of output channels [O,O]."""
    inputs, outputs = gradient.shape[2:]
    by_input = tf.reshape(tf.transpose(gradient, [2, 0, 1, 3]), [inputs, -1])
    by_output = tf.reshape(gradient, [-1, outputs])
    return tf.matmul(by_input, by_input, transpose_b=True), tf.matmul(by_output, by_output, transpose_a=True)


def _refreshed(covariance, basis):
    """Returns a basis that is nearer to the covariance's eigenvectors: one step of orthogonal iteration."""
    q, _ = tf.linalg.qr(tf.matmul(covariance, basis))
    return q
