"""Sources that are model folders in the layout of Hugging Face: encoders, read with transformers, never the network."""

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch

from export.errors import DataError, SourceError, in_one_line
from export.source import Evaluation, ModelSource
from export.sources.naming import model_name
from export.sources.options import SourceOptions
from export.sources.pooling import Pooling, TokenStates, Unpooled, read_pooling
from export.sources.text_tasks import text_task
from export.sources.texts import Encoding, example_arrays, read_texts, tokenized
from export.sources.tokenizer import find_tokenizer, max_tokens
from handlers.tasks.definitions import Tokenization

__all__ = ["load_folder"]

_INSTALL = "pip install 'lambdaserve[transformers]'"
_LISTED = 5  # names of weights in a message

_KINDS: dict[str, Literal["ids", "mask", "types"]] = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
}

_TASKS = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "Model": "AutoModel",
}
"""How the name of an architecture ends, and what reads it. Generative ones end otherwise."""


@dataclass(frozen=True)
class _Folder:
    """What a folder says of itself."""

    path: Path
    weights: Path
    """Where config and weights are: the folder itself, or that of the sentence transformer's first module."""
    config: Any
    loader: str
    pooling: Pooling | None


def load_folder(folder: Path, options: SourceOptions) -> ModelSource:
    """Return the source that a model folder is.

    What it is for comes from `architectures` in config.json; a folder of sentence-transformers (`modules.json`) embeds,
    whatever head its weights were trained with. Without it, a bare encoder embeds by the mean of its token states.
    With a tokenizer this becomes its task; without, it takes tensors.

    Raises:
        SourceError: It is no such folder, of an architecture that is no encoder, or transformers is not installed.
        DataError: Its weights are not those of its config, or the texts cannot be used.
    """
    options.check(f"the model folder {folder.name}", ("--name", "--texts"))
    transformers = _import_transformers()
    read = _read_folder(folder, transformers)
    model = _load_model(read, transformers)
    inputs = ["input_ids", "attention_mask"]
    if (
        getattr(read.config, "type_vocab_size", 0) > 1
        and "token_type_ids" in inspect.signature(model.forward).parameters
    ):
        inputs.append("token_type_ids")
    tokenization = Tokenization(
        inputs={name: _KINDS[name] for name in inputs},
        max_tokens=max_tokens(folder, read.config),
        pad_id=int(getattr(read.config, "pad_token_id", None) or 0),  # some models count positions by it
    )
    tokenizer = find_tokenizer(folder, transformers)
    encoding = Encoding(tokenizer, tokenization, vocabulary=int(read.config.vocab_size))
    head = read.pooling or Unpooled()
    data: dict[str, Any] = {}
    if options.texts is not None:
        by_token = None if head.output == "embedding" or "Sequence" in read.loader else _values_of_a_token(model)
        calibration, held_out = tokenized(read_texts(options.texts), encoding, by_token)
        data = {"calibration": calibration, "evaluation": Evaluation([(batch, None) for batch in held_out])}
    return ModelSource(
        name=model_name(folder, options.name),
        module=_Encoder(model, inputs, head),
        inputs={name: torch.from_numpy(value) for name, value in example_arrays(encoding).items()},
        outputs=[head.output],
        dynamic={name: {0: "batch", 1: "sequence"} for name in inputs},
        task=None if tokenizer is None else text_task(read.loader, read.config, tokenization, folder, tokenizer),
        tokenizer=tokenizer,
        **data,
    )


class _Encoder(torch.nn.Module):
    """An encoder of transformers with named inputs in a fixed order, and what comes after it."""

    def __init__(self, model: torch.nn.Module, inputs: list[str], head: Pooling | Unpooled) -> None:
        super().__init__()
        self.model = model
        self.head = head
        self._inputs = inputs

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, ...] or embeddings [batch, dimension]; `tensors` int64 [batch, sequence]."""
        given = dict(zip(self._inputs, tensors, strict=True))
        states: TokenStates = self.model(**given, return_dict=True)[0]
        result: torch.Tensor = self.head(states, given["attention_mask"])
        return result


def _import_transformers() -> Any:  # noqa: ANN401 - a module that is not there where types are checked
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the import, which reads it: a folder is all that is ever asked
    try:
        import transformers
    except ImportError as error:
        msg = f"source: no module {error.name!r}, expected transformers to read a model folder; {_INSTALL}"
        raise SourceError(msg) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _read_folder(folder: Path, transformers: Any) -> _Folder:  # noqa: ANN401 - as above
    pooling = read_pooling(folder)
    weights = folder / pooling.transformer if pooling else folder
    path = weights / "config.json"
    if not path.is_file():
        msg = f"source {folder}: no config.json, expected a Hugging Face model folder"
        raise SourceError(msg)
    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        config = transformers.AutoConfig.from_pretrained(weights, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises as it likes
        msg = f"source {path}: {in_one_line(error)}, expected the config of a model that transformers knows"
        raise SourceError(msg) from error
    architectures = raw.get("architectures") or []
    if pooling is None and not architectures:
        msg = f"source {path}: no `architectures`, expected one such as BertForSequenceClassification"
        raise SourceError(msg)
    loader = "AutoModel" if pooling else _loader(str(architectures[0]), config, transformers, folder)
    if loader == "AutoModel" and pooling is None:
        pooling = Pooling(("mean",), normalize=False)
    return _Folder(folder, weights, config, loader, pooling)


def _loader(architecture: str, config: Any, transformers: Any, folder: Path) -> str:  # noqa: ANN401 - as above
    auto = transformers.models.auto.modeling_auto
    known = config.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES  # every encoder of text has a masked LM
    one_stack = not (config.is_encoder_decoder or getattr(config, "is_decoder", False))
    for ending, loader in _TASKS.items():
        if known and one_stack and architecture.endswith(ending):
            return loader
    msg = (
        f"source {folder}: architecture {architecture} ({config.model_type}), expected an encoder of text that ends in "
        f"{', '.join(_TASKS)}; write a file.py:function for any other"
    )
    raise SourceError(msg)


def _load_model(read: _Folder, transformers: Any) -> torch.nn.Module:  # noqa: ANN401 - as above
    try:
        model, info = getattr(transformers, read.loader).from_pretrained(
            read.weights,
            config=read.config,
            dtype=torch.float32,  # whatever the checkpoint's: kernels for 16 bits are few
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # transformers itself would not name them; they are refused below
        )
    except Exception as error:  # transformers raises as it likes
        msg = (
            f"weights of {read.path}: {type(error).__name__}: {in_one_line(error)[:1000]}, expected those of its config"
        )
        raise DataError(msg) from error
    _check_loaded(model, info, read)
    loaded: torch.nn.Module = model.eval()
    return loaded


def _check_loaded(model: Any, info: Mapping[str, Any], read: _Folder) -> None:  # noqa: ANN401 - as above
    """Refuse weights that are not there and would be random, and layers that are there and would be left out.

    Heads that the task does not use may be there or not, poolers and the heads of pre-training.
    """
    missing = sorted(key for key in info["missing_keys"] if read.pooling is None or not key.startswith("pooler."))
    prefix = model.base_model_prefix
    parts = {name for name, _ in model.base_model.named_children()} - {"pooler"}
    layers = sorted(key for key in info["unexpected_keys"] if key.removeprefix(f"{prefix}.").split(".")[0] in parts)
    shapes = sorted(f"{key} {list(found)} for {list(wanted)}" for key, found, wanted in info["mismatched_keys"])
    for names, what in (
        (shapes, "have other shapes"),
        (missing, "are missing"),
        (layers, "are in the file and not in the model"),
    ):
        if names:
            listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
            msg = (
                f"weights of {read.path}: {listed} {what}, expected those of config.json; is it that of these weights?"
            )
            raise DataError(msg)


def _values_of_a_token(model: torch.nn.Module) -> int:
    config: Any = model.config
    return int(config.vocab_size if type(model).__name__.endswith("MaskedLM") else config.num_labels)
