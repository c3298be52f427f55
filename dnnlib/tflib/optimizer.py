"""Adam that skips a step whose gradients are not all finite."""

from dnnlib.tflib.runtime import tf


def adam_step(loss, learning_rate):
    """-> (train_op, finite). `finite` (bool scalar): whether the step was taken; if not, weights and moments stay.

    beta1 0.9, beta2 0.99, epsilon 1e-8 (SPEC 6.1). loss: scalar; learning_rate: scalar tensor.
    """
    optimizer = tf.train.AdamOptimizer(learning_rate, beta1=0.9, beta2=0.99, epsilon=1e-8)
    gradients = optimizer.compute_gradients(loss, tf.trainable_variables())
    finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g, _ in gradients])
    # Variables cannot be made inside the branch. The method is private: requirements.txt holds TensorFlow to 2.21.
    optimizer._create_slots([v for _, v in gradients])
    train_op = tf.cond(finite, lambda: optimizer.apply_gradients(gradients), tf.no_op)
    return train_op, finite
