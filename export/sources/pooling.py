"""From token states to one embedding of a text, as sentence-transformers' `modules.json` says."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

from export.errors import DataError, SourceError, in_one_line

__all__ = ["Pooling", "TokenStates", "Unpooled", "read_pooling"]

T = TypeVar("T")

TokenStates = torch.Tensor
"""float32 [batch, sequence, hidden]"""

_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Members of 1_Pooling/config.json in the order in which their vectors are joined; what newer files call them."""

_ACTIVATIONS = {"Identity": torch.nn.Identity, "Tanh": torch.nn.Tanh, "ReLU": torch.nn.ReLU, "GELU": torch.nn.GELU}


class Unpooled(torch.nn.Module):
    """What the model returns is what is asked for: logits."""

    output = "logits"

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return `states` as they are."""
        del mask
        return states


class Pooling(torch.nn.Module):
    """Token states to embeddings [batch, dimension]; tokens that the mask leaves out do not count.

    Attributes:
        transformer: Folder of the encoder below the model's.
    """

    output = "embedding"

    def __init__(
        self, modes: tuple[str, ...], *, normalize: bool, dense: tuple[torch.nn.Module, ...] = (), transformer: str = ""
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.dense = torch.nn.Sequential(*dense)
        self._modes = modes
        self._normalize = normalize

    def forward(self, states: TokenStates, mask: torch.Tensor) -> torch.Tensor:
        """Return the embedding of each text; `mask` int64 [batch, sequence], 1 where there is a token."""
        pooled: torch.Tensor = self.dense(torch.cat([_pool(mode, states, mask) for mode in self._modes], dim=-1))
        return torch.nn.functional.normalize(pooled, dim=-1) if self._normalize else pooled


def _pool(mode: str, states: TokenStates, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)  # [batch, sequence, 1]
    if mode == "cls":
        return states[:, 0]
    if mode == "max":
        return states.masked_fill(weights == 0, torch.finfo(states.dtype).min).amax(1)
    if mode == "lasttoken":
        positions = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * positions).argmax(1)
        return (states * (positions == last.unsqueeze(1)).unsqueeze(-1)).sum(1)
    if mode == "weightedmean":
        weights = weights * torch.arange(1, mask.shape[1] + 1, device=mask.device).unsqueeze(-1)
    total = weights.sum(1).clamp(min=1e-9)  # sentence-transformers' own bound
    return (states * weights).sum(1) / (total.sqrt() if mode == "mean_sqrt_len_tokens" else total)


def read_pooling(folder: Path) -> Pooling | None:
    """Return what `modules.json` says comes after the encoder; None where the folder has no such file.

    Raises:
        SourceError: A module is of a kind not known here, or its config is broken.
        DataError: The weights of a dense module do not fit its config.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return None
    modes: tuple[str, ...] = ()
    normalize = False
    dense: list[torch.nn.Module] = []
    transformer = ""
    for entry in _read(path, list[dict[str, Any]]):
        # only the last word: packages have moved between releases
        kind, place = str(entry.get("type")).rpartition(".")[2], str(entry.get("path", ""))
        if kind == "Transformer":
            transformer = place
        elif kind == "Pooling":
            modes = _read_modes(folder / place / "config.json")
        elif kind == "Dense" and modes and not normalize:
            dense += _read_dense(folder / place)
        elif kind == "Normalize" and modes:
            normalize = True
        else:
            msg = f"source {path}: module {kind}, expected Transformer, Pooling, Dense and Normalize in this order"
            raise SourceError(msg)
    if not modes:
        msg = f"source {path}: no Pooling, expected Transformer and Pooling at least"
        raise SourceError(msg)
    return Pooling(modes, normalize=normalize, dense=tuple(dense), transformer=transformer)


def _read_modes(path: Path) -> tuple[str, ...]:
    config = _read(path, dict[str, Any])
    named = config.get("pooling_mode")
    given = [named] if isinstance(named, str) else list(named or [])
    modes = tuple(given) or tuple(mode for member, mode in _MODES.items() if config.get(member))
    unknown = [mode for mode in modes if mode not in _MODES.values()]
    unknown += [key for key, on in config.items() if key.startswith("pooling_mode_") and on and key not in _MODES]
    if unknown or not modes:
        msg = f"source {path}: pooling {', '.join(unknown) or 'not set'}, expected some of {', '.join(_MODES.values())}"
        raise SourceError(msg)
    return modes


def _read_dense(folder: Path) -> list[torch.nn.Module]:
    config = _read(folder / "config.json", dict[str, Any])
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        msg = f"source {folder}: activation {activation}, expected one of {', '.join(_ACTIVATIONS)}"
        raise SourceError(msg)
    try:
        linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
        linear.load_state_dict({key.removeprefix("linear."): value for key, value in _weights(folder).items()})
    except Exception as error:  # a broken file may raise anything
        msg = f"weights of {folder}: {type(error).__name__}: {in_one_line(error)}, expected those of its config.json"
        raise DataError(msg) from error
    return [linear, _ACTIVATIONS[activation]()]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / "model.safetensors").is_file():
        from safetensors.torch import load_file  # comes with transformers, which reads the encoder

        safe: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
        return safe
    weights: dict[str, torch.Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return weights


def _read(path: Path, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except (OSError, msgspec.DecodeError) as error:
        msg = f"source {path}: {in_one_line(error)}, expected a file of sentence-transformers"
        raise SourceError(msg) from error
