"""The PyTorch model as the reference: named arrays in, named arrays out."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils import _pytree

from export.errors import ConversionError, DataError, in_one_line, users_line
from export.source import ModelSource
from handlers.tasks.arrays import Arrays

__all__ = ["Reference", "to_arrays"]


class Reference:
    """Runs a source's module without gradients, in eval mode, on CPU."""

    def __init__(self, source: ModelSource) -> None:
        self._module = source.module.eval()
        self._inputs = list(source.inputs)
        self._outputs = source.outputs

    def check_weights(self) -> None:
        """Check that every weight is a number: whatever is computed with one that is not, is none either.

        Raises:
            DataError: A parameter or buffer holds NaN, or a parameter an infinity; buffers may, as masks do.
        """
        parameters = {name for name, _ in self._module.named_parameters()}
        for name, value in [*self._module.named_parameters(), *self._module.named_buffers()]:
            if not (value.is_floating_point() or value.is_complex()):
                continue
            for kind, wrong in (("NaN", torch.isnan(value)), ("infinities", torch.isinf(value))):
                count = int(wrong.sum())
                if count and (kind == "NaN" or name in parameters):
                    msg = (
                        f"weights: {name} holds {count} {kind} in {value.numel()} values, expected numbers alone; "
                        "take a checkpoint from before training diverged"
                    )
                    raise DataError(msg)

    def run(self, inputs: Arrays) -> Arrays:
        """Return the module's outputs by name.

        Raises:
            DataError: Inputs are missing, or the module refuses them.
            ConversionError: The module returns something else than the outputs that its source names.
        """
        missing = set(self._inputs) ^ set(inputs)
        if missing:
            msg = f"data: inputs {sorted(inputs)}, expected {self._inputs}"
            raise DataError(msg)
        # copied: a module that works in place must not change the data that other variants are asked about
        tensors = [torch.tensor(inputs[name]) for name in self._inputs]
        try:
            with torch.inference_mode():
                result = self._module(*tensors)
        except Exception as error:  # the user's module may raise anything
            shapes = {name: list(inputs[name].shape) for name in self._inputs}
            msg = (
                f"module: {type(error).__name__} on inputs of shapes {shapes}: {in_one_line(error)}"
                f"{users_line(error)}; check names, order and shapes"
            )
            raise DataError(msg) from error
        return self._named(result)

    @contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """Let PyTorch use `count` threads for as long as the block lasts."""
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def size_bytes(self) -> int:
        """Return the size of all parameters and buffers in memory; what is shared counts once."""
        values = {id(value): value for value in [*self._module.parameters(), *self._module.buffers()]}
        return sum(value.numel() * value.element_size() for value in values.values())

    def weights_sha256(self) -> str:
        """Return a hash over names, dtypes, shapes and bytes of all parameters and buffers."""
        digest = hashlib.sha256()
        for name, value in sorted(self._module.state_dict().items()):
            if isinstance(value, torch.Tensor):
                digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _named(self, result: object) -> Arrays:
        if not isinstance(result, (torch.Tensor, dict, tuple, list)):
            msg = f"module: returns {type(result).__name__}, expected a tensor, or a tuple, list or dict of tensors"
            raise ConversionError(msg)
        # nested ones too: nn.LSTM returns (output, (h, c)), and the exporters flatten it alike
        values: Sequence[object] = _pytree.tree_leaves(dict(result) if isinstance(result, dict) else result)
        if len(values) != len(self._outputs) or not all(isinstance(value, torch.Tensor) for value in values):
            kinds = [type(value).__name__ for value in values]
            msg = f"module: returns {kinds}, expected tensors for the outputs {self._outputs}"
            raise ConversionError(msg)
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        try:
            return {name: value.detach().cpu().numpy() for name, value in zip(self._outputs, tensors, strict=True)}
        except TypeError as error:  # bfloat16 and the like
            msg = f"module: returns {[str(value.dtype) for value in tensors]}, expected what numpy has: {error}"
            raise ConversionError(msg) from error


def to_arrays(source: ModelSource) -> Arrays:
    """Return the example inputs of a source as arrays."""
    return {name: value.detach().cpu().numpy() for name, value in source.inputs.items()}
