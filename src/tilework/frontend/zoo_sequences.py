"""How the networks of the zoo with attention or with states are built; `zoo.NETWORKS` is the table of them."""

from __future__ import annotations

from tilework.frontend.zoo_layers import conv, layer_norm, linear, lstm_states, probabilities
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape

GELU = "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"
GELU_TANH = "0.5 * x0 * (1 + tanh(0.7978845608028654 * (x0 + 0.044715 * x0 * x0 * x0)))"


def lstm(name: str, shape: Shape, hidden: int = 256, classes: int = 10) -> Graph:
    """One layer of torch.nn.LSTM from zero states, batch first, its steps written out; sequences [N,steps,features].

    The state after the last step is classified by a linear layer.
    """
    g = GraphBuilder(name)
    *_, last = lstm_states(g, g.input("x", shape), shape, hidden)
    return probabilities(g, linear(g, "fc", last, (hidden, classes)))


def encoder(name: str, shape: Shape, heads: int = 8, feedforward: int = 2048) -> Graph:
    """A layer of the first transformer's encoder (Vaswani et al. 2017), as torch.nn.TransformerEncoderLayer with the
    batch first: each part is added to its input, then normalised; [N,positions,features]."""
    g = GraphBuilder(name)
    x, width = g.input("x", shape), shape[-1]
    x = layer_norm(g, "norm1", g.node("add1", "add", x, _self_attention(g, "self_attn", x, shape, heads)), width)
    value = g.node("relu", "relu", linear(g, "linear1", x, (width, feedforward)))
    value = g.node("add2", "add", x, linear(g, "linear2", value, (feedforward, width)))
    return g.graph(layer_norm(g, "norm2", value, width))


def _self_attention(g: GraphBuilder, name: str, x: str, shape: Shape, heads: int) -> str:
    """As torch.nn.MultiheadAttention: one projection makes queries, keys and values."""
    width = shape[-1]
    projection = [
        g.weight(f"{name}.in_proj_weight", (3 * width, width)),
        g.weight(f"{name}.in_proj_bias", (3 * width,)),
    ]
    value = _attention(g, name, g.node(f"{name}.in_proj", "linear", x, *projection), shape, heads)
    return linear(g, f"{name}.out_proj", value, (width, width))


def _attention(g: GraphBuilder, name: str, projected: str, shape: Shape, heads: int, mask: str = "") -> str:
    """softmax(q k' / sqrt(size of a head) + mask) v of each head, side by side; from q, k and v beside each other."""
    batch, positions, width = shape
    by_head = (batch, positions, heads, width // heads)
    parts = []
    for i, part in enumerate("qkv"):
        value = g.node(f"{name}.{part}", "slice", projected, axis=2, start=i * width, size=width)
        value = g.node(f"{name}.{part}_split", "reshape", value, shape=by_head)
        parts.append(g.node(f"{name}.{part}_heads", "transpose", value, order=(0, 2, 1, 3)))
    q, k, v = parts
    scores = g.node(f"{name}.scores", "matmul", q, k, transpose_y=True)
    body = f"x0 * {by_head[-1] ** -0.5!r}"
    scores = g.node(
        f"{name}.scaled", "pointwise", scores, *[mask] * bool(mask), what="scale", body=body + " + x1" * bool(mask)
    )
    value = g.node(f"{name}.mixed", "matmul", g.node(f"{name}.softmax", "softmax", scores), v)
    value = g.node(f"{name}.joined", "transpose", value, order=(0, 2, 1, 3))
    return g.node(f"{name}.flat", "reshape", value, shape=shape)


def vit(name: str, shape: Shape, patch: int = 16, width: int = 768, layers: int = 12, heads: int = 12) -> Graph:
    """Dosovitskiy et al. 2021, named as in torchvision; images [N,3,224,224]."""
    batch, _, height, breadth = shape
    patches = (height // patch) * (breadth // patch)
    g = GraphBuilder(name)
    image, token = g.input("image", shape), g.weight("class_token", (1, 1, width))
    value = conv(g, "conv_proj", image, (3, width), patch, patch)
    value = g.node("patches", "reshape", value, shape=(batch, width, patches))
    value = g.node("positions", "transpose", value, order=(0, 2, 1))
    value = g.node("tokens", "concat", g.node("class", "expand", token, shape=(batch, 1, width)), value, axis=1)
    whole = (batch, patches + 1, width)
    value = g.node("encoder.add", "add", value, g.weight("encoder.pos_embedding", (1, *whole[1:])))
    for i in range(layers):
        value = _pre_normalised(g, f"encoder.layers.encoder_layer_{i}", value, whole, heads)
    value = layer_norm(g, "encoder.ln", value, width, epsilon=1e-6)
    value = g.node("first", "slice", value, axis=1, start=0, size=1)
    return probabilities(g, linear(g, "heads.head", g.node("flatten", "flatten", value), (width, 1000)))


def _pre_normalised(g: GraphBuilder, place: str, x: str, shape: Shape, heads: int) -> str:
    """A layer of the vision transformer: each part is added to its input and takes that normalised."""
    width = shape[-1]
    value = layer_norm(g, f"{place}.ln_1", x, width, epsilon=1e-6)
    x = g.node(f"{place}.add1", "add", x, _self_attention(g, f"{place}.self_attention", value, shape, heads))
    value = linear(g, f"{place}.mlp.0", layer_norm(g, f"{place}.ln_2", x, width, epsilon=1e-6), (width, 4 * width))
    value = g.node(f"{place}.mlp.1", "pointwise", value, what="gelu", body=GELU)
    return g.node(f"{place}.add2", "add", x, linear(g, f"{place}.mlp.3", value, (4 * width, width)))


def gpt2(name: str, shape: Shape, width: int = 768, layers: int = 12, heads: int = 12) -> Graph:
    """Radford et al. 2019, named as in transformers; numbers of tokens [N,positions] in, a logit of each token out."""
    g = GraphBuilder(name)
    whole, table = (*shape, width), g.weight("transformer.wte.weight", (50257, width))
    value = g.node(
        "transformer.wte", "host", g.input("ids", shape, "int64"), table, what="embedding", shape=whole, dtype="float32"
    )
    learned = g.weight("transformer.wpe.weight", (1024, width))
    value = g.node("transformer.add", "add", value, g.node("transformer.wpe", "slice", learned, size=shape[1]))
    places = g.node("transformer.places", "host", what="constant", shape=shape[1:], sequence=(0, 1))
    rows = g.node("transformer.rows", "reshape", places, shape=(shape[1], 1))
    mask = g.node("transformer.mask", "pointwise", rows, places, what="mask", body="select(less(x0, x1), -inf, 0)")
    for i in range(layers):
        place = f"transformer.h.{i}"
        part = _projection(g, f"{place}.attn.c_attn", layer_norm(g, f"{place}.ln_1", value, width), (width, 3 * width))
        part = _attention(g, f"{place}.attn", part, whole, heads, mask)
        value = g.node(f"{place}.add1", "add", value, _projection(g, f"{place}.attn.c_proj", part, (width, width)))
        part = _projection(g, f"{place}.mlp.c_fc", layer_norm(g, f"{place}.ln_2", value, width), (width, 4 * width))
        part = g.node(f"{place}.mlp.act", "pointwise", part, what="gelu", body=GELU_TANH)
        value = g.node(f"{place}.add2", "add", value, _projection(g, f"{place}.mlp.c_proj", part, (4 * width, width)))
    return g.graph(g.node("lm_head", "linear", layer_norm(g, "transformer.ln_f", value, width), table))


def _projection(g: GraphBuilder, name: str, x: str, features: tuple[int, int]) -> str:
    """A linear layer whose weight is [features in, features out]."""
    value = g.node(f"{name}.product", "matmul", x, g.weight(f"{name}.weight", features))
    return g.node(f"{name}.add", "add", value, g.weight(f"{name}.bias", features[1:]))
