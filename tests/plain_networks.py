"""The two U-Nets once more, as SPEC 3.1 and 3.2 word them: slow, in NumPy, in the precision of their input. To compare with.

Maps are [N,H,W,C]; `v` holds the variables by name. With `blind` a layer looks only upwards.
"""

import numpy as np


def same_convolution(x, w):
    """Stride 1, zeros beyond the border, any odd kernel size."""
    margin = w.shape[0] // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1:3]
    taps = [(i, j) for i in range(w.shape[0]) for j in range(w.shape[1])]
    return sum(padded[:, i : i + height, j : j + width] @ w[i, j] for i, j in taps)


def convolution(x, w, blind):
    """When blind: a one-row pad at the top, a "same" convolution, and a one-row crop at the bottom."""
    if not blind or w.shape[0] == 1:
        return same_convolution(x, w)
    return same_convolution(np.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0))), w)[:, :-1]


def shifted_down(x):
    moved = np.zeros_like(x)
    moved[:, 1:] = x[:, :-1]
    return moved


def pooled(x, blind):
    if blind:
        x = shifted_down(x)
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def upsampled(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def layer(x, v, name, blind=False, linear=False):
    x = convolution(x, v[f"{name}/W"], blind) + v[f"{name}/b"]
    return x if linear else np.where(x > 0, x, 0.1 * x)


def trunk(x, v, blind):
    network_input = x
    x = layer(layer(x, v, "enc_conv0", blind), v, "enc_conv1", blind)
    pool1 = x = pooled(x, blind)
    pool2 = x = pooled(layer(x, v, "enc_conv2", blind), blind)
    pool3 = x = pooled(layer(x, v, "enc_conv3", blind), blind)
    pool4 = x = pooled(layer(x, v, "enc_conv4", blind), blind)
    x = pooled(layer(x, v, "enc_conv5", blind), blind)
    x = layer(x, v, "enc_conv6", blind)
    for i, skip in ((5, pool4), (4, pool3), (3, pool2), (2, pool1), (1, network_input)):
        x = np.concatenate([upsampled(x), skip], axis=-1)
        x = layer(layer(x, v, f"dec_conv{i}a", blind), v, f"dec_conv{i}b", blind)
    return x


def head(x, v):
    return layer(layer(layer(x, v, "nin_a"), v, "nin_b"), v, "nin_c", linear=True)


def plain_unet(x, v):
    """SPEC 3.1."""
    return head(trunk(x, v, blind=False), v)


def blind_spot_unet(x, v):
    """SPEC 3.2: each branch on its own; SPEC's stacking on the batch axis only makes it one run."""
    branches = []
    for k in range(4):
        features = shifted_down(trunk(np.rot90(x, k, axes=(1, 2)), v, blind=True))
        branches.append(np.rot90(features, -k, axes=(1, 2)))
    return head(np.concatenate(branches, axis=-1), v)
