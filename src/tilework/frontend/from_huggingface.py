"""Networks from Hugging Face configurations: `config.json` becomes a model on the meta device, without weights.

transformers builds the model; nothing of a repository but its configuration is read, and none of its code is run.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from tilework.errors import MissingPackageError, NetworkError
from tilework.frontend.from_huggingface_cache import active_parameters, filled_cache, set_caching, trace_decoding
from tilework.frontend.request import Request, numbers
from tilework.network.operations import Shape

try:
    import torch

    from tilework.frontend.from_huggingface_import import transformers
except ImportError:
    raise MissingPackageError(
        "Hugging Face configurations need the package transformers: pip install 'tilework[huggingface]'"
    ) from None

if TYPE_CHECKING:
    from tilework.network.blocks import Blocks

PHASES = PREFILL, DECODE = ("prefill", "decode")
SEQUENCE = "seq"
USUAL_SEQUENCE = 1024  # tokens, where the model allows as many
AUDIO_SAMPLES = 16_000  # a second of sound
MOST_LAYERS = 10_000
CHECK = "warn_if_padding_and_no_attention_mask"  # looks at the tokens, of which there are none


@dataclass(frozen=True)
class ConfigSource:
    """A model built from a configuration; `seq` among the inputs is the number of tokens."""

    name: str
    config: Any
    model: torch.nn.Module

    def at(self, request: Request) -> Blocks:
        """The graph of one forward pass: of `seq` tokens, or, to decode, of one token after `seq` cached ones."""
        from tilework.frontend.from_torch import trace_blocks

        if request.phase not in ("", *PHASES):
            raise NetworkError(f"the phase must be one of {', '.join(PHASES)}, not {request.phase!r}")
        if request.phase == DECODE:
            found = self.decoding(request)
            if found is None:
                raise NetworkError(f"to decode, a model must keep what it has read, which {self.name} doesn't")
            return found
        return trace_blocks(self.model, name=self.name, reuse=request.reuse, **self._arguments(request))

    def decoding(self, request: Request) -> Blocks | None:
        """The graph of one token after `seq` cached ones; None for a model that keeps nothing."""
        return trace_decoding(self.model, self.name, self._arguments(request))

    def facts(self, request: Request) -> dict[str, int]:
        """What tables of layers don't say of a language model; `cached_tokens` is how many `cache_bytes` hold.

        `active_parameters`: those that one token passes through, where there is a mixture of experts.
        """
        arguments = self._arguments(request)
        facts = {"parameters": sum(p.numel() for p in self.model.parameters())}
        if (active := active_parameters(self.model, self.config)) is not None:
            facts["active_parameters"] = active
        cache = filled_cache(self.model, self.name, arguments)
        if cache is not None:
            facts["cached_tokens"] = arguments["input_ids" if cache.encoded is None else "decoder_input_ids"].numel()
            facts["cache_bytes"] = sum(t.numel() * t.element_size() for t in cache.tensors.values())
        return facts

    def usual(self, request: Request) -> dict[str, int]:
        """A batch of one and the usual number of tokens."""
        sizes = {request.batch: 1} if isinstance(request.batch, str) else {}
        for asked in request.inputs:
            for size in asked.sizes:
                if isinstance(size, str):
                    sizes[size] = min(self.tokens, 64) if asked.name == SEQUENCE else 32
        return sizes

    def classes(self) -> dict[str, str]:
        """Each module's class by its path."""
        return {path: type(module).__name__ for path, module in self.model.named_modules()}

    @property
    def tokens(self) -> int:
        """How many tokens stand in an input where nothing is asked: USUAL_SEQUENCE, or fewer where the model ends."""
        text = self.config.get_text_config()
        names = ("max_position_embeddings", "n_positions", "max_target_positions")
        limits = [limit for name in names if (limit := getattr(text, name, None)) and limit > 0]
        return min(USUAL_SEQUENCE, *limits) if limits else USUAL_SEQUENCE

    def _arguments(self, request: Request) -> dict[str, Any]:
        asked = {item.name: numbers(item) for item in request.inputs}
        if None in asked:
            raise NetworkError(f"inputs of {self.name} must have names, such as {SEQUENCE}=128")
        batch = request.batch_number or 1
        tokens = asked.pop(SEQUENCE, (self.tokens,))[0]
        found = self._usual_inputs(batch, tokens)
        if unknown := asked.keys() - found.keys():
            raise NetworkError(
                f"{self.name} has the inputs {', '.join((SEQUENCE, *found))}, not {min(map(str, unknown))!r}"
            )
        shaped = {name: (asked.get(name, shape), dtype) for name, (shape, dtype) in found.items()}
        return {n: torch.empty(shape, dtype=dtype, device="meta") for n, (shape, dtype) in shaped.items()}

    def _usual_inputs(self, batch: int, tokens: int) -> dict[str, tuple[Shape, torch.dtype]]:
        """The tensors that the model's forward wants, by name."""
        accepted = signature(self.model.forward).parameters
        main: str = self.model.main_input_name  # type: ignore[assignment]
        wanted = [main]
        if main == "pixel_values" and hasattr(self.config, "text_config") and "input_ids" in accepted:
            wanted.insert(0, "input_ids")
        if main == "input_ids" and hasattr(self.config, "vision_config") and _pairs(self.config):
            wanted.append("pixel_values")
        if self.config.is_encoder_decoder and "decoder_input_ids" in accepted:
            wanted.append("decoder_input_ids")
        return {name: self._usual_input(name, batch, tokens) for name in wanted}

    def _usual_input(self, name: str, batch: int, tokens: int) -> tuple[Shape, torch.dtype]:
        if name in ("input_ids", "decoder_input_ids"):
            return (batch, tokens), torch.int64
        number = self.model.dtype if isinstance(self.model.dtype, torch.dtype) else torch.float32
        config = self.config
        if name == "pixel_values":
            vision = getattr(config, "vision_config", config)
            size = getattr(vision, "image_size", None) or 224
            height, width = size if isinstance(size, list | tuple) else (size, size)
            frames: Shape = (vision.num_frames,) if hasattr(vision, "num_frames") else ()
            return (batch, *frames, getattr(vision, "num_channels", 3), height, width), number
        if name == "input_features" and hasattr(config, "input_feat_per_channel"):
            return (batch, config.max_source_positions, config.input_feat_per_channel), number
        if name == "input_values" and hasattr(config, "max_length") and hasattr(config, "num_mel_bins"):
            return (batch, config.max_length, config.num_mel_bins), number
        if name == "input_features":
            return (
                batch,
                getattr(config, "num_mel_bins", 80),
                2 * getattr(config, "max_source_positions", 1500),
            ), number
        if name == "input_values":
            return (batch, AUDIO_SAMPLES), number
        raise NetworkError(f"{self.name} reads {name}, whose shape its configuration doesn't tell")


def open_config(spec: str) -> ConfigSource:
    """The model of a local `config.json` (or its folder), or of a repository where the network reaches one.

    Raises NetworkError for a configuration that transformers doesn't know or cannot build.
    """
    name = os.path.basename(
        os.path.dirname(os.path.abspath(spec)) if spec.endswith(".json") else os.path.normpath(spec)
    )
    config = _config(_fields(spec) if os.path.exists(spec) else _downloaded(spec), spec)
    return ConfigSource(name, config, build(config, spec))


def build(config: Any, name: str) -> torch.nn.Module:
    """The model that a configuration describes, on the meta device, with attention step by step."""
    layers = getattr(config.get_text_config(), "num_hidden_layers", 0) or 0
    if not isinstance(layers, int) or layers > MOST_LAYERS:
        raise NetworkError(f"{name} must have at most {MOST_LAYERS} layers, not {layers}")
    try:
        dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
        with torch.device("meta"):
            model: torch.nn.Module = _model_class(config)._from_config(config, dtype=dtype, attn_implementation="eager")
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(f"{name} must be a configuration that transformers can build, but {_line(error)}") from error
    grouped = getattr(model, "set_experts_implementation", None)
    if grouped is not None and model._can_set_experts_implementation():  # type: ignore[operator]
        grouped("grouped_mm")  # every token goes through so many experts, whichever they are
    set_caching(model, False)
    for part in model.modules():
        if hasattr(part, CHECK):
            setattr(part, CHECK, lambda *inputs: None)
    return model.eval()


def _fields(path: str) -> dict[str, Any]:
    path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    try:
        with open(path, encoding="utf-8") as file:
            fields = json.load(file)
    except OSError as error:
        raise NetworkError(f"the configuration {path!r} must be readable: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NetworkError(f"the configuration {path!r} must be a JSON object") from None
    if not isinstance(fields, dict):
        raise NetworkError(f"the configuration {path!r} must be a JSON object, not a {type(fields).__name__}")
    return fields


def _downloaded(repository: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = transformers.PretrainedConfig.get_config_dict(repository)[0]
    except Exception as error:
        raise NetworkError(
            f"hf:{repository} must be a config.json, its folder, or a repository that can be reached: {_line(error)}"
        ) from error
    return found


def _config(fields: dict[str, Any], name: str) -> Any:
    kind = str(fields.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        raise NetworkError(
            f"{name} must have a model_type that transformers {transformers.__version__} knows, not {kind!r}"
        )
    try:
        return transformers.CONFIG_MAPPING[kind].from_dict(fields)
    except Exception as error:
        raise NetworkError(f"{name} must be a valid {kind} configuration, but {_line(error)}") from error


def _model_class(config: Any) -> Any:
    """The class that the configuration names, else one for language, else the bare model."""
    for architecture in config.architectures or ():
        found = getattr(transformers, str(architecture), None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    language = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    for auto in (language, transformers.AutoModel):
        if type(config) in auto._model_mapping:
            found = auto._model_mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    raise NetworkError(f"transformers has no model for a {config.model_type} configuration")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), 'no message')}"


def _pairs(config: Any) -> bool:
    """Whether the model compares texts with pictures; one that reads pictures as tokens marks their place."""
    return not any(hasattr(config, mark) for mark in ("image_token_id", "image_token_index"))
