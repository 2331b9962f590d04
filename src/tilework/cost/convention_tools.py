"""What other tools add to their totals for each operation, as their sources have it: a table for each tool.

`tests/cost/test_conventions.py` holds the tables to the tools themselves, docs/disagreements.md shows the outcome.
"""

from __future__ import annotations

from tilework.cost import convention_rules as rules
from tilework.cost.convention_rules import GATES, TRANSPOSED, Number, Rule, Tool
from tilework.cost.convention_steps import ATTENTION

CALLS = {  # the function that a module calls, under the name by which a tool knows it
    "AdaptiveAvgPool1d": "adaptive_avg_pool1d",
    "AdaptiveAvgPool2d": "adaptive_avg_pool2d",
    "AdaptiveAvgPool3d": "adaptive_avg_pool3d",
    "AdaptiveMaxPool2d": "adaptive_max_pool2d",
    "AvgPool1d": "avg_pool1d",
    "AvgPool2d": "avg_pool2d",
    "AvgPool3d": "avg_pool3d",
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "BatchNorm3d": "batch_norm",
    "Conv1d": "conv1d",
    "Conv2d": "conv2d",
    "Conv3d": "conv3d",
    "ConvTranspose1d": "conv_transpose1d",
    "ConvTranspose2d": "conv_transpose2d",
    "ConvTranspose3d": "conv_transpose3d",
    "Conv1D": "addmm",  # of transformers: a linear layer with its weight transposed
    "ELU": "elu",
    "GELU": "gelu",
    "GELUActivation": "",
    "GRU": "gru",
    "GroupNorm": "group_norm",
    "InstanceNorm1d": "instance_norm",
    "InstanceNorm2d": "instance_norm",
    "InstanceNorm3d": "instance_norm",
    "LSTM": "lstm",
    "LayerNorm": "layer_norm",
    "LayerNorm2d": "layer_norm",  # of torchvision
    "LeakyReLU": "leaky_relu",
    "Linear": "linear",
    "MaxPool1d": "max_pool1d",
    "MaxPool2d": "max_pool2d",
    "MaxPool3d": "max_pool3d",
    "PReLU": "prelu_kernel",
    "RNN": "rnn",
    "ReLU": "relu",
    "ReLU6": "hardtanh",
    "SiLU": "silu",
    "Softmax": "softmax",
    "Upsample": "interpolate",
}

CAPTURED = {"GELU": ("GELUActivation",)}  # of transformers: holds the function since before a tool could replace it

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
POOLS = tuple(f"{kind}_pool{axes}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for axes in (1, 2, 3))
NORMS = ("layer_norm", "group_norm", "instance_norm")
AXES = ("1d", "2d", "3d")
BATCH_NORMS = tuple(f"BatchNorm{axes}" for axes in AXES)
INSTANCE_NORMS = tuple(f"InstanceNorm{axes}" for axes in AXES)
CONVOLUTION_MODULES = tuple(f"Conv{axes}" for axes in AXES)
TRANSPOSED_MODULES = tuple(f"ConvTranspose{axes}" for axes in AXES)
AVERAGES = tuple(f"AvgPool{axes}" for axes in AXES)
ADAPTIVE_AVERAGES = tuple(f"AdaptiveAvgPool{axes}" for axes in AXES)
MAXIMA = tuple(f"{kind}{axes}" for kind in ("MaxPool", "AdaptiveMaxPool") for axes in AXES)

ELEMENT = "1 for each element"
INPUT = "1 for each element of the input"
NORMALISED = "2 for each element that is normalised"
NORMALISED_5 = "5 for each element that is normalised, 4 without scale"
BIAS = "bias, 1 for each output"
BIAS_ONCE = "the bias counts once, not at every position"
FIRST = "the first addition of every sum counts too"
CALLED = "the functions that it calls count, 1 for each element"
RESIZED = "1 for each output, 4 where it is interpolated"
OWN_WAY = "a recurrent layer counts by a formula of its own"
WRITTEN = "counts where it is written torch.{0}, not where {1}"
PRODUCT = WRITTEN.format("matmul", "@ or scaled_dot_product_attention")
FUNCTION = WRITTEN.format("nn.functional.{0}", "otherwise")


def _each(names: tuple[str, ...], number: Number, why: str = "") -> dict[str, Rule]:
    return dict.fromkeys(names, Rule(number, why))


TORCHINFO = Tool(
    name="torchinfo",
    version="1.8.0",
    unit="mult-adds",
    exact=lambda record: record.macs,
    unseen="only parameters of modules with none within count",
    leaves=Rule(rules.by_parameters, rules.by_parameters_why),
)

# nn/flop_count.py and nn/jit_handles.py, on the operators of a torch.jit trace
FVCORE = Tool(
    name="fvcore",
    version="0.1.5.post20221221",
    unit="MACs (which it calls flops)",
    exact=lambda record: record.macs,
    unseen="not in fvcore's table of operators",
    functions={
        **_each((*CONVOLUTIONS, *TRANSPOSED, "linear", "addmm"), rules.macs),
        "matmul": Rule(
            rules.product(1), perhaps="counts where it is written matmul or @, not where scaled_dot_product_attention"
        ),
        "batch_norm": Rule(rules.affine(2, 1), NORMALISED),
        **_each(NORMS, rules.affine(5, 4), NORMALISED_5),
        "adaptive_avg_pool2d": Rule(rules.read, INPUT),
        "interpolate": Rule(rules.resized(4), RESIZED),
    },
    used_only=True,
)

# torch/utils/flop_counter.py, on the operators that reach the dispatcher
FLOP_COUNTER = Tool(
    name="flop_counter",
    version="of torch 2.13.0",
    unit="FLOPs (2 per MAC)",
    exact=lambda record: 2 * record.macs,
    unseen="not in flop_counter's table of operators",
    functions=_each((*CONVOLUTIONS, *TRANSPOSED, "linear", "matmul"), rules.two_each),
    operators=True,
    note="This is what it gives on the meta device and on GPUs. On the CPU the fused kernels for attention and LSTMs "
    "count as nothing.",
)

# pytorch_ops.py, the default backend: hooks on modules of exactly these classes and, besides, replaced functions, so
# that a module which calls one counts twice
PTFLOPS = Tool(
    name="ptflops",
    version="0.7.5",
    unit="MACs",
    exact=lambda record: record.macs,
    unseen="not in ptflops' tables of modules and functions",
    modules={
        **_each((*CONVOLUTION_MODULES, *TRANSPOSED_MODULES, "Linear"), lambda step: step.macs + step.bias, BIAS),
        **_each(("ReLU", "PReLU", "ELU", "LeakyReLU", "ReLU6", "GELU"), rules.read, ELEMENT),
        **_each((*MAXIMA, *AVERAGES, *ADAPTIVE_AVERAGES), rules.read, INPUT),
        **_each((*BATCH_NORMS, *INSTANCE_NORMS, "GroupNorm"), rules.affine(2, 1), NORMALISED),
        "Upsample": Rule(lambda step: step.elements // step.o[0], "1 for each output of the first image"),
        "LayerNorm": Rule(rules.read, "1 for each element that is normalised"),
        **_each(tuple(GATES), rules.recurrent(1, 0), OWN_WAY),
        ATTENTION: Rule(rules.attention, rules.attention_why),
    },
    functions={
        **_each(("prelu_kernel", "elu", "relu6", "gelu", "silu"), rules.read, ELEMENT),
        **_each(POOLS, rules.read, INPUT),
        "relu": Rule(rules.read, ELEMENT, FUNCTION.format("relu")),
        "softmax": Rule(rules.read, ELEMENT, FUNCTION.format("softmax")),
        "interpolate": Rule(rules.elements, "1 for each output"),
        "addmm": Rule(rules.addmm(1), BIAS_ONCE),
        "matmul": Rule(rules.product(1), perhaps=PRODUCT),
        "local_response_norm": Rule(rules.local_response, CALLED),
        "add": Rule(rules.elements, ELEMENT, WRITTEN.format("add", "+")),
        "mul": Rule(rules.elements, ELEMENT, WRITTEN.format("mul", "*")),
    },
    per_image=True,
    note="This is what it gives on the CPU. On the meta device torch's own rules for shapes call functions that it has "
    "replaced, and linear layers count twice.",
)

# pytorch_ops.py: replaced functions, and hooks on recurrent layers. The FLOPs of the two numbers that it gives.
CALFLOPS = Tool(
    name="calflops",
    version="0.3.2",
    unit="FLOPs",
    exact=rules.operations,
    unseen="not in calflops' table of functions",
    modules=_each(tuple(GATES), rules.recurrent(2, 1), OWN_WAY),
    functions={
        **_each(CONVOLUTIONS, lambda step: 2 * step.macs + step.bias, FIRST),
        **_each(TRANSPOSED, rules.transposed_twice_grouped, "groups divide twice, and the bias is for fewer outputs"),
        "linear": Rule(rules.two_each, FIRST),
        "interpolate": Rule(rules.resized_places, "1 for each input of a module, for each place of a function"),
        "addmm": Rule(rules.addmm(2), BIAS_ONCE),
        **_each(("prelu_kernel", "elu", "leaky_relu", "relu6", "silu", "gelu"), rules.read, ELEMENT),
        **_each(POOLS, rules.read, INPUT),
        "batch_norm": Rule(rules.affine(2, 1), NORMALISED),
        **_each(NORMS, rules.affine(5, 4), NORMALISED_5),
        "relu": Rule(rules.read, ELEMENT, FUNCTION.format("relu")),
        "softmax": Rule(rules.read, ELEMENT, FUNCTION.format("softmax")),
        "matmul": Rule(rules.product(2), perhaps=PRODUCT),
        "local_response_norm": Rule(rules.local_response, CALLED),
        "add": Rule(rules.elements, ELEMENT, WRITTEN.format("add", "+")),
        "mul": Rule(rules.elements, ELEMENT, WRITTEN.format("mul", "*")),
    },
)

# profile.register_hooks, on modules of exactly these classes
THOP = Tool(
    name="thop",
    version="0.1.1.post2209072238",
    unit="MACs",
    exact=lambda record: record.macs,
    unseen="not in thop's table of modules, or called as a function",
    modules={
        **_each((*CONVOLUTION_MODULES, "Linear"), rules.macs),
        **_each(TRANSPOSED_MODULES, rules.at_outputs, "a transposed convolution counts at its output's positions"),
        **_each(
            (*BATCH_NORMS, *INSTANCE_NORMS, "LayerNorm"),
            rules.affine(4, 2),
            "4 for each element that is normalised, 2 without scale",
        ),
        "PReLU": Rule(rules.read, ELEMENT),
        "Softmax": Rule(rules.softmax, "3 for each element, less 1 for each row"),
        **_each(AVERAGES, rules.elements, "1 for each output"),
        **_each(ADAPTIVE_AVERAGES, rules.adaptive, "the window's size and 1 for each output"),
        "Upsample": Rule(rules.resized(11), "1 for each output, 11 where it is interpolated"),
        **_each(tuple(GATES), rules.cells, OWN_WAY),
    },
)

TOOLS = {tool.name: tool for tool in (TORCHINFO, FVCORE, FLOP_COUNTER, PTFLOPS, CALFLOPS, THOP)}
