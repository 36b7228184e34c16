"""Random functional graphs with dead channels, and the same without them, by hand.

The builder keeps, for every tensor, a token for each of its channels. Tokens that an
operation ties are joined; each weight notes which tokens its rows and columns are of.
So channels are killed, and left out of a second model, without any help of the package.
"""

import collections

import keras
import numpy as np
from keras import layers
from keras import ops

#: Activations, as layers or as operations between layers.
ACTIVATIONS = {
    "relu": ops.relu,
    "swish": ops.silu,
    "gelu": ops.gelu,
    "hard_silu": lambda x: x * ops.relu6(x + 3.0) / 6.0,
    "tanh": ops.tanh,
    "relu6": ops.relu6,
}


class Tensor:
    """A tensor, and the token of each channel."""

    def __init__(self, value, tokens):
        self.value, self.tokens = value, list(tokens)

    @property
    def width(self):
        return len(self.tokens)


class Builder:
    """Builds a random graph; in a second run without some channels.

    Args:
        seed: int, of all that is random.
        dead: set of tokens that are left out.
    """

    def __init__(self, seed, dead=frozenset()):
        self.rng = np.random.default_rng(seed)
        self.dead = dead
        self.parents, self.fixed, self.made = {}, set(), collections.defaultdict(list)
        self.weights, self.kinds, self.count = [], [], 0

    # Tokens.

    def new(self, n):
        tokens = range(len(self.parents), len(self.parents) + n)
        self.parents.update((t, t) for t in tokens)
        return list(tokens)

    def root(self, token):
        while self.parents[token] != token:
            token = self.parents[token]
        return token

    def tie(self, first, second):
        for a, b in zip(first, second, strict=True):
            self.parents[self.root(a)] = self.root(b)

    def fix(self, tokens):
        self.fixed.update(tokens)

    def stays(self, tokens):
        return np.array([self.root(t) not in self.dead for t in tokens])

    def left(self, tokens):
        return int(self.stays(tokens).sum())

    # Layers.

    def name(self, kind):
        self.count += 1
        self.kinds.append(kind)
        return f"{kind}_{self.count}"

    def weigh(self, layer, name, shape, axes, makes=None, low=None):
        """A random weight of the full size; `axes` maps axes to lists of tokens."""
        w = self.rng.normal(size=shape) * 0.5
        w = w if low is None else low + np.abs(w)
        self.weights.append((layer, name, w.astype("float32"), axes))
        for axis, tokens in axes.items():
            if axis == makes:
                for i, token in enumerate(tokens):
                    self.made[token].append((len(self.weights) - 1, axis, i))

    def conv(self, x, filters, size=3, activation=None, **kwargs):
        out, bias = self.new(filters), bool(self.rng.integers(2))
        layer = layers.Conv2D(
            self.left(out), size, use_bias=bias, activation=activation,
            name=self.name("conv"), **{"padding": "same"} | kwargs,
        )  # fmt: skip
        shape = (size, size, x.width, filters)
        self.weigh(layer, "kernel", shape, {2: x.tokens, 3: out}, makes=3)
        if bias:
            self.weigh(layer, "bias", (filters,), {0: out}, makes=0)
        return Tensor(layer(x.value), out)

    def dense(self, x, units, activation=None):
        out = self.new(units)
        layer = layers.Dense(self.left(out), activation, name=self.name("dense"))
        self.weigh(layer, "kernel", (x.width, units), {0: x.tokens, 1: out}, makes=1)
        self.weigh(layer, "bias", (units,), {0: out}, makes=0)
        return Tensor(layer(x.value), out)

    def depthwise(self, x):
        m = int(self.rng.integers(1, 3))
        padding = str(self.rng.choice(["same", "valid"]))
        layer = layers.DepthwiseConv2D(
            3, depth_multiplier=m, padding=padding, name=self.name("depthwise")
        )
        out = [t for t in x.tokens for _ in range(m)]
        self.weigh(layer, "kernel", (3, 3, x.width, m), {2: x.tokens}, makes=2)
        self.weigh(layer, "bias", (x.width * m,), {0: out}, makes=0)
        return Tensor(layer(x.value), out)

    def separable(self, x):
        filters = int(self.rng.integers(4, 9))
        out = self.new(filters)
        layer = layers.SeparableConv2D(
            self.left(out), 3, padding="same", name=self.name("separable")
        )
        self.weigh(layer, "depthwise_kernel", (3, 3, x.width, 1), {2: x.tokens})
        shape = (1, 1, x.width, filters)
        self.weigh(layer, "pointwise_kernel", shape, {2: x.tokens, 3: out}, makes=3)
        self.weigh(layer, "bias", (filters,), {0: out}, makes=0)
        return Tensor(layer(x.value), out)

    def batch_norm(self, x):
        layer = layers.BatchNormalization(name=self.name("batch_norm"))
        y = layer(x.value)
        self.weigh(layer, "gamma", (x.width,), {0: x.tokens}, makes=0)
        self.weigh(layer, "beta", (x.width,), {0: x.tokens}, makes=0)
        self.weigh(layer, "moving_mean", (x.width,), {0: x.tokens})
        self.weigh(layer, "moving_variance", (x.width,), {0: x.tokens}, low=0.5)
        return Tensor(y, x.tokens)

    def layer_norm(self, x):
        """Over as many channels as in the full model, zeros among them."""
        layer = layers.LayerNormalization(name=self.name("layer_norm"))
        stays = self.stays(x.tokens)
        places = np.where(stays, np.cumsum(stays) - 1, stays.sum()).astype("int32")
        if stays.all():
            y = layer(x.value)
        else:
            axes = [[0, 0]] * (len(x.value.shape) - 1)
            full = ops.take(ops.pad(x.value, [*axes, [0, 1]]), places, axis=-1)
            y = ops.take(layer(full), np.flatnonzero(stays).astype("int32"), axis=-1)
        for name in ("gamma", "beta"):
            self.weigh(layer, name, (x.width,), {}, makes=None)
            for i, token in enumerate(x.tokens):
                self.made[token].append((len(self.weights) - 1, 0, i))
        return Tensor(y, x.tokens)

    def activation(self, x):
        name = str(self.rng.choice(list(ACTIVATIONS)))
        if self.rng.integers(2):
            self.kinds.append("operation")
            return Tensor(ACTIVATIONS[name](x.value), x.tokens)
        self.kinds.append("activation")
        return Tensor(layers.Activation(name)(x.value), x.tokens)

    def constants(self, x):
        self.kinds.append("constants")
        scale = self.rng.uniform(0.5, 2, x.width).astype("float32")
        return Tensor(x.value * scale[self.stays(x.tokens)] * 0.5, x.tokens)

    def residual(self, x):
        self.kinds.append("residual")
        y = self.conv(self.activation(self.batch_norm(x)), int(self.rng.integers(4, 9)))
        y = self.conv(self.activation(y), x.width)
        self.tie(x.tokens, y.tokens)
        merge = layers.Add() if self.rng.integers(2) else layers.Maximum()
        return Tensor(merge([x.value, y.value]), x.tokens)

    def joined(self, x):
        self.kinds.append("joined")
        y = self.conv(x, int(self.rng.integers(4, 9)))
        both = layers.Concatenate()([x.value, y.value])
        return Tensor(both, [*x.tokens, *y.tokens])

    def excite(self, x):
        self.kinds.append("excite")
        if self.rng.integers(2):
            s = Tensor(layers.GlobalAveragePooling2D()(x.value), x.tokens)
            s = self.dense(self.dense(s, 4, "relu"), x.width, "sigmoid")
            value = layers.Reshape((1, 1, self.left(s.tokens)))(s.value)
        else:
            pooled = layers.GlobalAveragePooling2D(keepdims=True)(x.value)
            s = self.conv(Tensor(pooled, x.tokens), 4, 1, "relu")
            s = self.conv(s, x.width, 1, "hard_sigmoid")
            value = s.value
        self.tie(x.tokens, s.tokens)
        return Tensor(layers.Multiply()([x.value, value]), x.tokens)

    def pool(self, x):
        self.kinds.append("pool")
        kinds = (layers.MaxPooling2D(2, 1), layers.ZeroPadding2D(1))
        layer = kinds[self.rng.integers(2)]
        return Tensor(layer(x.value), x.tokens)

    def nested(self, x):
        self.kinds.append("nested")
        inputs = keras.Input(x.value.shape[1:])
        y = self.activation(self.conv(Tensor(inputs, x.tokens), 6))
        inner = keras.Model(inputs, y.value, name=f"nested_{self.count}")
        return Tensor(inner(x.value), y.tokens)

    def shared(self, x):
        """One layer, called twice, ties what it reads to what it makes."""
        layer = layers.Conv2D(
            self.left(x.tokens), 3, padding="same", name=self.name("shared")
        )
        shape = (3, 3, x.width, x.width)
        self.weigh(layer, "kernel", shape, {2: x.tokens, 3: x.tokens}, makes=3)
        self.weigh(layer, "bias", (x.width,), {0: x.tokens}, makes=0)
        return Tensor(layer(ops.relu(layer(x.value))), x.tokens)

    STEPS = (
        "activation", "activation", "batch_norm", "constants", "conv_", "depthwise",
        "excite", "joined", "layer_norm", "nested", "pool", "residual", "separable",
        "shared",
    )  # fmt: skip

    def conv_(self, x):
        activation = str(self.rng.choice(list(ACTIVATIONS)))
        return self.conv(x, int(self.rng.integers(4, 9)), activation=activation)

    def build(self):
        inputs = keras.Input((9, 9, 3))
        x = Tensor(inputs, self.new(3))
        self.fix(x.tokens)
        x = self.conv_(x)
        for step in self.rng.choice(self.STEPS, self.rng.integers(2, 7)):
            x = getattr(self, step)(x)
        x = self.activation(self.conv_(x))
        flat = (layers.Flatten(), layers.GlobalMaxPooling2D())[self.rng.integers(2)]
        whole = isinstance(flat, layers.Flatten)
        spots = int(np.prod(x.value.shape[1:-1])) if whole else 1
        y = self.dense(Tensor(flat(x.value), x.tokens * spots), 3)
        self.fix(y.tokens)
        outputs = [y.value]
        if self.rng.integers(2):
            z = self.conv(x, 2)
            self.fix(z.tokens)
            outputs.append(z.value)
        self.model = keras.Model(inputs, outputs, name="graph")
        for layer, name, w, axes in self.weights:
            for axis, tokens in axes.items():
                w = np.compress(self.stays(tokens), w, axis=axis)
            getattr(layer, name).assign(w)
        return self.model

    # Dead channels.

    def killable(self):
        fixed = {self.root(t) for t in self.fixed}
        roots = {self.root(t) for t in self.parents if self.root(t) not in fixed}
        return sorted(r for r in roots if self.made_by(r))

    def made_by(self, root):
        return [p for t in self.parents if self.root(t) == root for p in self.made[t]]

    def choose(self):
        """Random channels, not all of any tensor."""
        roots = self.killable()
        share = self.rng.uniform(0.2, 0.6)
        dead = {r for r in roots if self.rng.uniform() < share}
        for _, _, _, axes in self.weights:
            for tokens in axes.values():
                if tokens and not any(self.root(t) not in dead for t in tokens):
                    dead.discard(self.root(tokens[0]))
        return frozenset(dead)

    def kill(self, dead):
        """0.0 in every entry that makes one of these channels."""
        for number, (layer, name, w, _) in enumerate(self.weights):
            w = w.copy()
            for root in dead:
                for place, axis, i in self.made_by(root):
                    if place == number:
                        np.moveaxis(w, axis, 0)[i] = 0.0
            getattr(layer, name).assign(w)


def graph(seed):
    """`(model, small, kinds)`: with dead channels, and without them by hand."""
    keras.utils.set_random_seed(seed)
    builder = Builder(seed)
    model = builder.build()
    dead = builder.choose()
    builder.kill(dead)
    by_hand = Builder(seed, dead)
    # Which channels are tied is known when all is built.
    by_hand.parents_of = builder.root
    by_hand.stays = lambda tokens: np.array(
        [builder.root(t) not in dead for t in tokens]
    )
    return model, by_hand.build(), builder.kinds
