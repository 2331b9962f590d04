"""5.3: a training step on one device, on several, and on several machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tilework as tw

TITLE = "A training step on one device, on several, and on several machines"
QUESTION = """
How does a training step run on one device, on the devices of one machine, and on those of several machines? What of
it is done at the same time, and what one after another? Give a model of the step's time from what the network computes
and moves, and from what the devices tell one another, and draw how it scales.
"""
NOTICE = """
Devices that hold copies of the network work on their parts of the batch at the same time. Then each needs the
sum of all gradients: an all-reduce, for which a ring sends 2(n-1)/n of the gradients' bytes through every link, however
many devices there are. It can begin while the backward pass still makes gradients of earlier layers. What is left
after that, and the optimiser, is serial.

So it is not the number of devices that matters but the slowest link that the ring crosses. Eight devices of a machine
hardly lose anything; from the second machine on the network between them decides, and from then on little changes.

What is lost is the ratio of a network's parameters to its arithmetic. A residual network's step hides most of its
gradients behind the backward pass. AlexNet has more than twice the parameters and a sixth of the arithmetic, most of
its gradients come from the fully connected layers, and between machines it waits for them most of the time.

With the batch fixed (strong scaling) few devices have many parts of it to compute between two sums, so that little is
lost at first; the more devices, the fewer parts each has, and the loss of weak scaling comes in the end. A published
run on 256 devices lost about 10 % against 8: between what the model says with gradients sent during the backward pass
and after it.
"""
MACHINE, NETWORKS = "p100-sxm2", ("resnet50", "alexnet_torchvision")
DEVICES = (1, 8, 16, 64, 256)
PER_DEVICE = 32
STRONG = 8192  # inputs of a step, however many devices
SETUP: dict[str, Any] = {
    "dtype": "float32",
    "optimizer": "momentum",
    "micro_batch": PER_DEVICE,
    "node": 8,
    "network_bandwidth": "6.25 GB/s",  # 50 Gbit/s of Ethernet
    "check": False,
}
EPOCHS, IMAGES = 90, 1_281_167
PUBLISHED_HOURS = {"8": 29.0, "256": 1.0}  # Goyal et al., arXiv:1706.02677: about 90 % efficient from 8 to 256
SOURCE = "P. Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017 (arXiv:1706.02677)"


def answer(networks: Sequence[str] = NETWORKS) -> dict[str, Any]:
    """Each network's curves, and the first one's beside a published run."""
    return {
        "machine": MACHINE,
        "per_device": PER_DEVICE,
        "strong_batch": STRONG,
        "networks": [_curves(network) for network in networks],
        "published": _published(networks[0]),
    }


def _curves(network: str) -> dict[str, Any]:
    weak = tw.training_curve(network, MACHINE, batch=PER_DEVICE, over=DEVICES, weak=True, **SETUP)
    apart = tw.training_curve(network, MACHINE, batch=PER_DEVICE, over=DEVICES, weak=True, overlap=False, **SETUP)
    strong = tw.training_curve(network, MACHINE, batch=STRONG, over=DEVICES, **SETUP)
    curves = {"weak": weak, "weak, not overlapped": apart, "strong": strong}
    return {"network": network, **{name: [_point(one, found[0]) for one in found] for name, found in curves.items()}}


def _point(one: Any, first: Any) -> dict[str, Any]:
    step = one.to_dict()
    times = one.rate / first.rate
    return {
        "devices": step["devices"],
        "batch": step["batch"],
        "seconds": step["seconds"],
        "parts": step["parts_seconds"],
        "all_reduce_seconds": step["all_reduce_seconds"],
        "efficiency": times / step["devices"],
    }


def _published(network: str) -> dict[str, Any]:
    """The share of the bound that eight devices reached, and what the model makes of 256 with it."""
    measured = {n: hours * 3600 / (EPOCHS * IMAGES) for n, hours in PUBLISHED_HOURS.items()}  # seconds an image
    (bound,) = tw.training_curve(network, MACHINE, batch=8 * PER_DEVICE, over=(8,), **SETUP)
    share = bound.seconds / (8 * PER_DEVICE * measured["8"])
    used = {**SETUP, "compute_utilisation": share, "memory_utilisation": share}
    found = {}
    for name, overlap in (("overlapped", True), ("after the backward pass", False)):
        curve = tw.training_curve(
            network, MACHINE, batch=8 * PER_DEVICE, over=(8, 256), weak=True, overlap=overlap, **used
        )
        found[name] = {
            "efficiency": curve[1].rate / curve[0].rate / 32,
            "hours": EPOCHS * IMAGES / curve[1].rate / 3600,
        }
    return {
        "source": SOURCE,
        "hours": PUBLISHED_HOURS,
        "efficiency": measured["8"] / measured["256"] / 32,
        "share_of_the_bound": share,
        "model": found,
    }


def draw(answer: dict[str, Any], path: str) -> None:
    """Efficiency against the number of devices."""
    panels = {
        one["network"]: {
            name: [(point["devices"], 100 * point["efficiency"]) for point in one[name]]
            for name in ("weak", "weak, not overlapped", "strong")
        }
        for one in answer["networks"]
    }
    title = f"Training on {answer['machine']}, eight to a machine, 6.25 GB/s between machines"
    tw.draw_curves(panels, path, title=title, x="devices", y="efficiency, %")


def text(answer: dict[str, Any]) -> str:
    """The curves, where the time goes, and the published run."""
    parts = []
    for one in answer["networks"]:
        head = (one["network"], "ms a step", "all-reduce, ms", "not hidden, ms", "weak", "not overlapped", "strong")
        parts.append(tw.table(head, _rows(one)))
    first, published = answer["networks"][0], answer["published"]
    last = first["weak"][-1]
    parts.append(
        tw.table(
            (f"{first['network']}, {last['devices']} devices", "ms", "at the same time?"),
            [(name, f"{1e3 * part:.2f}", _when(name)) for name, part in last["parts"].items() if part],
            left=1,
        )
    )
    model = published["model"]
    parts.append(
        f"Efficiencies are per device against one, with {answer['per_device']} inputs a device (weak) and "
        f"{answer['strong_batch']} in all (strong).\n"
        f"Published for ResNet-50: {published['hours']['8']:g} hours on 8 devices, which is "
        f"{100 * published['share_of_the_bound']:.0f} % of the bound, and about {published['hours']['256']:g} on 256: "
        f"{100 * published['efficiency']:.0f} % efficient.\nThe model with that share: "
        f"{model['overlapped']['hours']:.2f} hours, {100 * model['overlapped']['efficiency']:.0f} % efficient if "
        f"gradients are sent during the backward pass, {model['after the backward pass']['hours']:.2f} hours and "
        f"{100 * model['after the backward pass']['efficiency']:.0f} % after it."
    )
    return "\n\n".join(parts)


def _rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
    columns = (one["weak"], one["weak, not overlapped"], one["strong"])
    return [
        (
            f"{weak['devices']}",
            f"{1e3 * weak['seconds']:.1f}",
            f"{1e3 * weak['all_reduce_seconds']:.2f}",
            f"{1e3 * weak['parts'][HIDDEN]:.2f}",
            *(f"{100 * point['efficiency']:.1f} %" for point in (weak, apart, strong)),
        )
        for weak, apart, strong in zip(*columns, strict=True)
    ]


HIDDEN = "gradients' all-reduce, not hidden"


def _when(part: str) -> str:
    return "yes, each device on its part of the batch" if part in ("forward", "backward") else "no, all wait"
