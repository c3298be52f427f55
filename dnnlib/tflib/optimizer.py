"""Adam that skips a step whose gradients are not all finite."""

from collections.abc import Mapping

from dnnlib.tflib.runtime import tf


def adam_step(loss, learning_rate, rates: Mapping[str, object] | None = None):
    """-> (train_op, finite). `finite` (bool scalar): whether the step was taken; if not, weights and moments stay.

    beta1 0.9, beta2 0.99, epsilon 1e-8 (SPEC 6.1). loss: scalar; learning_rate: scalar tensor; rates: name of a
    variable -> a learning rate of its own.
    """
    variables = tf.trainable_variables()
    gradients = dict(zip([v.op.name for v in variables], tf.gradients(loss, variables), strict=True))
    finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in gradients.values()])
    rates = {name: rate for name, rate in (rates or {}).items() if name in gradients}
    groups = [(learning_rate, [v for v in variables if v.op.name not in rates])]
    groups += [(rate, [v for v in variables if v.op.name == name]) for name, rate in rates.items()]

    steps = []
    for rate, members in groups:
        optimizer = tf.train.AdamOptimizer(rate, beta1=0.9, beta2=0.99, epsilon=1e-8)
        optimizer._create_slots(members)  # variables cannot be made inside the branch
        steps.append((optimizer, [(gradients[v.op.name], v) for v in members]))

    def take():
        return tf.group(*[optimizer.apply_gradients(pairs) for optimizer, pairs in steps])

    return tf.cond(finite, take, tf.no_op), finite
