"""Language models that keep their past, and mixtures of experts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from tilework.network.blocks import Blocks

EXPERTS_PER_TOKEN = ("num_experts_per_tok", "moe_k", "moe_topk")
PASTS = ("past_key_values", "cache_params")  # what models call it


@dataclass(frozen=True)
class Cache:
    """What a model keeps of the tokens it has read: its own object, and the places in it where tensors are.

    `keyword` is what its forward calls it, `encoded` what its encoder made of the first text, if it has one.
    """

    keyword: str
    owner: Any
    places: dict[str, tuple[dict[Any, Any], Any]]
    encoded: torch.Tensor | None = None

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors by the path of their place, such as `layers.0.keys`."""
        return {path: holder[name] for path, (holder, name) in self.places.items()}

    def put(self, tensors: dict[str, torch.Tensor]) -> Any:
        """The model's object with other tensors in those places."""
        for path, (holder, name) in self.places.items():
            holder[name] = tensors[path]
        return self.owner


def filled_cache(model: torch.nn.Module, name: str, arguments: dict[str, Any]) -> Cache | None:
    """What the model keeps after it has read its input; None where it keeps nothing."""
    from tilework.frontend.from_torch import trace_blocks

    past = next((name for name in PASTS if name in signature(model.forward).parameters), None)
    if past is None:
        return None
    kept: list[Any] = []
    hook = model.register_forward_hook(lambda *results: kept.append(results[-1]))
    try:
        with _caching(model):
            trace_blocks(model, name=name, **arguments)
    finally:
        hook.remove()
    owner = getattr(kept[0], past, None)
    encoded = getattr(kept[0], "encoder_last_hidden_state", None)
    return None if owner is None else Cache(past, owner, dict(_places(_own(owner), "")), encoded)


def trace_decoding(model: torch.nn.Module, name: str, arguments: dict[str, Any]) -> Blocks | None:
    """One more token after those given; what was kept of these is among the graph's inputs.

    None for a model that keeps nothing.
    """
    from tilework.frontend.from_torch import trace_blocks

    cache = filled_cache(model, name, arguments)
    if cache is None:
        return None
    tokens = "input_ids" if cache.encoded is None else "decoder_input_ids"
    given: dict[str, Any] = {tokens: torch.empty((arguments[tokens].shape[0], 1), dtype=torch.int64, device="meta")}
    if cache.encoded is not None:
        given["encoder_outputs"] = (cache.encoded,)
    given[cache.keyword] = cache.tensors

    def restore(module: torch.nn.Module, positional: Any, keywords: dict[str, Any]) -> Any:
        return positional, {**keywords, cache.keyword: cache.put(keywords[cache.keyword])}

    hook = model.register_forward_pre_hook(restore, with_kwargs=True)
    try:
        with _caching(model):
            return trace_blocks(model, name=name, **given)
    finally:
        hook.remove()


@contextmanager
def _caching(model: torch.nn.Module) -> Iterator[None]:
    """While this is open the model keeps what it reads."""
    set_caching(model, True)
    try:
        yield
    finally:
        set_caching(model, False)


def set_caching(model: torch.nn.Module, keep: bool) -> None:
    """Whether the parts of a model keep what they read, as their configurations say."""
    whole: Any = model.config
    parts: list[Any] = [part.config for part in model.modules() if hasattr(part, "config")]
    for config in (whole, whole.get_text_config(), *(c for c in parts if not keep or getattr(c, "is_decoder", False))):
        config.use_cache = keep


def active_parameters(model: torch.nn.Module, config: Any) -> int | None:
    """The parameters that one token passes through; None where there are no experts, or it isn't told how many.

    All of them, but of a layer's E experts the k that the router picks.
    """
    text = config.get_text_config()
    picked = next((k for name in EXPERTS_PER_TOKEN if (k := getattr(text, name, None))), None)
    experts = [module for path, module in model.named_modules() if path.rpartition(".")[2] == "experts"]
    if picked is None or not experts:
        return None
    idle = 0
    for module in experts:
        whole = sum(p.numel() for p in module.parameters())
        first = next(module.parameters())
        number = first.shape[0] if first.ndim > 2 else len(list(module.children()))
        idle += whole - whole // number * min(picked, number)
    return sum(p.numel() for p in model.parameters()) - idle


def _places(holder: dict[Any, Any], path: str) -> Iterator[tuple[str, tuple[dict[Any, Any], Any]]]:
    """The places of tensors among a cache's attributes, in its dicts, and in the caches and layers that it holds."""
    for name, value in holder.items():
        if isinstance(value, torch.Tensor) and value.ndim:  # without axes it is a number of tokens
            yield f"{path}{name}", (holder, name)
        elif isinstance(value, dict):
            yield from _places(value, f"{path}{name}.")
        elif isinstance(value, list):
            for place, item in enumerate(value):
                yield from _places(_own(item), f"{path}{name}.{place}.")
        else:
            yield from _places(_own(value), f"{path}{name}.")


def _own(item: Any) -> dict[str, Any]:
    """The attributes of a cache or of one of its layers; none of anything else."""
    return vars(item) if type(item).__module__ == "transformers.cache_utils" else {}
