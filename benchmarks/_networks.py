"""Networks of flax.nnx as anyone writes them, for images of 28 x 28; none knows of moments."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx


class MLP(nnx.Module):
    """Two hidden layers of relu."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        sizes = (784, 256, 128, 10)
        self.layers = nnx.List(nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes))

    def __call__(self, x):
        x = x.reshape(x.shape[0], -1)
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)


class LeNet(nnx.Module):
    """Convolution, relu, max pooling, twice, and three dense layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 6, (5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs)
        self.dense1 = nnx.Linear(400, 120, rngs=rngs)
        self.dense2 = nnx.Linear(120, 84, rngs=rngs)
        self.logits = nnx.Linear(84, 10, rngs=rngs)

    def __call__(self, x):
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        return self.logits(nnx.relu(self.dense2(nnx.relu(self.dense1(x)))))


class Block(nnx.Module):
    """Two convolutions with batch norm, and a way around them."""

    def __init__(self, inside: int, outside: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(inside, outside, (3, 3), stride, use_bias=False, rngs=rngs)
        self.norm1 = nnx.BatchNorm(outside, rngs=rngs)
        self.conv2 = nnx.Conv(outside, outside, (3, 3), use_bias=False, rngs=rngs)
        self.norm2 = nnx.BatchNorm(outside, rngs=rngs)
        self.around = (
            nnx.Conv(inside, outside, (1, 1), stride, use_bias=False, rngs=rngs)
            if stride > 1 or inside != outside
            else None
        )

    def __call__(self, x):
        y = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(y + (x if self.around is None else self.around(x)))


class ResNet18(nnx.Module):
    """Four stages of two blocks; `width` channels in the first (64 in the paper)."""

    def __init__(self, rngs: nnx.Rngs, width: int = 16) -> None:
        self.stem = nnx.Conv(1, width, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        blocks, inside = [], width
        for stage in range(4):
            for index in range(2):
                stride = 2 if stage and not index else 1
                blocks.append(Block(inside, width * 2**stage, stride, rngs))
                inside = width * 2**stage
        self.blocks = nnx.List(blocks)
        self.logits = nnx.Linear(inside, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.logits(x.mean((1, 2)))


class UNet(nnx.Module):
    """Down to 7 x 7 and up again, group norm and silu; an image out of an image."""

    def __init__(self, rngs: nnx.Rngs, width: int = 16) -> None:
        def conv(inside, outside):
            return nnx.Conv(inside, outside, (3, 3), rngs=rngs)

        def norm(channels):
            return nnx.GroupNorm(channels, num_groups=4, rngs=rngs)

        w = width
        self.down = nnx.List([conv(1, w), conv(w, 2 * w)])
        self.down_norm = nnx.List([norm(w), norm(2 * w)])
        self.middle, self.middle_norm = conv(2 * w, 4 * w), norm(4 * w)
        self.up = nnx.List([conv(6 * w, 2 * w), conv(3 * w, w)])
        self.up_norm = nnx.List([norm(2 * w), norm(w)])
        self.out = conv(w, 1)

    def __call__(self, x):
        kept = []
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = nnx.silu(norm(conv(x)))
            kept.append(x)
            x = nnx.avg_pool(x, (2, 2), strides=(2, 2))
        x = nnx.silu(self.middle_norm(self.middle(x)))
        for conv, norm in zip(self.up, self.up_norm, strict=True):
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            x = nnx.silu(norm(conv(jnp.concatenate([x, kept.pop()], -1))))
        return self.out(x)


class ViT(nnx.Module):
    """Patches of 4 x 4 as tokens of 64, four blocks of attention and gelu."""

    def __init__(self, rngs: nnx.Rngs, width: int = 64, depth: int = 4) -> None:
        self.patches = nnx.Conv(1, width, (4, 4), strides=4, rngs=rngs)
        self.place = nnx.Param(0.02 * rngs.normal((49, width)))
        self.attention = nnx.List(
            nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs) for _ in range(depth)
        )
        self.norms = nnx.List(nnx.LayerNorm(width, rngs=rngs) for _ in range(2 * depth + 1))
        self.rise = nnx.List(nnx.Linear(width, 2 * width, rngs=rngs) for _ in range(depth))
        self.fall = nnx.List(nnx.Linear(2 * width, width, rngs=rngs) for _ in range(depth))
        self.logits = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x).reshape(x.shape[0], 49, -1) + self.place[...]
        for i, attention in enumerate(self.attention):
            x = x + attention(self.norms[2 * i](x))
            x = x + self.fall[i](nnx.gelu(self.rise[i](self.norms[2 * i + 1](x))))
        return self.logits(self.norms[-1](x).mean(1))


class LSTM(nnx.Module):
    """Rows read from top to bottom."""

    def __init__(self, rngs: nnx.Rngs, width: int = 64) -> None:
        self.width, self.cell = width, nnx.OptimizedLSTMCell(28, width, rngs=rngs)
        self.logits = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        start = jnp.zeros((x.shape[0], self.width))
        rows = jnp.moveaxis(x[..., 0], 1, 0)
        (_, last), _ = jax.lax.scan(self.cell, (start, start), rows)
        return self.logits(last)


NETWORKS = {
    "MLP": MLP,
    "LeNet": LeNet,
    "ResNet-18": ResNet18,
    "U-Net": UNet,
    "ViT": ViT,
    "LSTM": LSTM,
}
