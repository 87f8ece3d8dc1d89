"""Families of variants: what of a model each can quantise, and how a choice of that becomes a file.

A family is asked for models in which some of its units are quantised and nothing else is, so that what each of them
costs can be measured; and for files, in which the weights of what is left out are packed too.
"""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnxruntime.quantization.calibrate import TensorsData

from export.figures import format_count
from export.quantize.graph import Prepared, copied, large_weights, merge_equal, tie_transposed, untied, with_products
from export.quantize.integers import dynamic_nodes, quantize_dynamically, quantize_statically, static_nodes
from export.quantize.weights import fits_half, pack_weights

__all__ = ["Dynamic", "Family", "Static", "Weights"]

Stored = Literal["int8", "fp16", "fp32", "none"]


class Family(ABC):
    """One way of quantising a prepared model.

    Attributes:
        name: Of the variant in which everything is quantised.
        mixed_name: Of one in which something is left out.
        computes_integers: Whether what is quantised is computed in integers too, and may be faster for it.
        nothing: What to say where there is nothing to quantise.
        units: What can be quantised or left out, in the graph's order: names of nodes.
    """

    name: ClassVar[str]
    mixed_name: ClassVar[str] = "int8-mixed"
    computes_integers: ClassVar[bool] = True
    nothing: ClassVar[str]

    def __init__(self, model: ModelProto, units: Sequence[str]) -> None:
        self.units = list(units)
        self._half: frozenset[str] = frozenset()
        self._model = model
        self._sources: dict[str, str] = {}

    def keep_half(self, names: Collection[str]) -> None:
        """Let these weights of what is left out be packed in fp16, others in int8; copies go as their originals do."""
        self._half = frozenset({*names, *(new for new, old in self._sources.items() if old in names)})

    @abstractmethod
    def only(self, units: Collection[str]) -> ModelProto:
        """Return the fp32 model with these units quantised and all else as it was."""

    def write_only(self, units: Collection[str], path: Path) -> None:
        """Write the fp32 model with these units quantised, and all else as it was, to `path`."""
        with _quiet():
            onnx.save(self.only(units), path)

    def write(self, units: Collection[str], path: Path) -> None:
        """Write the variant with these units quantised to `path`; the weights of what is left out are packed."""
        with _quiet():
            model = self.only(units)
            tie_transposed(model)
            pack_weights(model, self._half)
            merge_equal(model)
            onnx.save(model, path)

    def described(self, left_out: int) -> str:
        """Say how a variant is made in which so many units are left out."""
        kept = f"{len(self.units) - left_out} of " if left_out else ""
        rest = ", weights of the others in int8" if left_out else ""
        return f"{kept}{format_count(len(self.units), 'node')} computed in int8, {self._ranges_described}{rest}"

    _ranges_described: str = ""

    def price(self, unit: str) -> float:
        """Return what it costs to leave a unit out, beside other units: the same for each, where nothing is known."""
        del unit
        return 1.0

    def node(self, unit: str) -> str:
        """Return the name of the node that a unit stands for."""
        return unit

    def operator(self, unit: str) -> str:
        """Return the operator of a unit."""
        return str(self._nodes[self.node(unit)].op_type)

    def stored(self, unit: str) -> Stored:
        """Return the type of the weights of a unit that is left out; "none" where it has no large ones."""
        names = set(self._nodes[unit].input) & self._large.keys()
        if not names:
            return "none"
        return "fp16" if names & self._half else "int8"

    @cached_property
    def _nodes(self) -> dict[str, NodeProto]:
        return {node.name: node for node in self._model.graph.node}

    @cached_property
    def _large(self) -> dict[str, tuple[TensorProto, list[NodeProto]]]:
        return large_weights(self._model)


class Weights(Family):
    """Weights in int8, computed in float; its units are weights. What is left out is stored in fp16."""

    name = "int8-weights"
    mixed_name = "mixed-weights"
    computes_integers = False
    nothing = "no fp32 weights of 1,024 values or more"

    def __init__(self, prepared: Prepared) -> None:
        model = copied(prepared.model)
        tie_transposed(model)
        super().__init__(model, list(large_weights(model)))

    def only(self, units: Collection[str]) -> ModelProto:
        """Return the fp32 model with these weights in int8."""
        model = copied(self._model)
        pack_weights(model, only=units)
        return model

    def write(self, units: Collection[str], path: Path) -> None:
        """Write the model with these weights in int8, and all other large ones in fp16."""
        model = copied(self._model)
        pack_weights(model, half=set(self.units) - set(units))
        onnx.save(model, path)

    def described(self, left_out: int) -> str:
        """Say how a variant is made in which so many weights are left out."""
        weights = format_count(len(self.units), "weight")
        kept = (
            f"{len(self.units) - left_out} of {weights} in int8, {left_out} in fp16"
            if left_out
            else f"{weights} in int8"
        )
        return f"{kept}, computed in float"

    def price(self, unit: str) -> float:
        """Return the number of values, each of which takes one byte more in fp16."""
        return float(np.prod(self._large[unit][0].dims))

    def node(self, unit: str) -> str:
        """Return the name of the first node that takes these weights."""
        return str(self._large[unit][1][0].name)

    def stored(self, unit: str) -> Stored:
        """Return "fp16", or "fp32" where fp16 cannot hold the weights."""
        return "fp16" if fits_half(numpy_helper.to_array(self._large[unit][0])) else "fp32"


class Dynamic(Family):
    """Products and LSTMs in int8, the ranges of their inputs taken as they run."""

    name = "int8-dynamic"
    nothing = "no product with constant weights and no LSTM"
    _ranges_described = "ranges taken as it runs"

    def __init__(self, prepared: Prepared) -> None:
        alone, copies = untied(prepared)
        model, transposed = with_products(alone)
        super().__init__(model, dynamic_nodes(model))
        self._sources = copies | {new: copies.get(old, old) for new, old in transposed.items()}

    def only(self, units: Collection[str]) -> ModelProto:
        """Return the model with these nodes in int8."""
        return quantize_dynamically(self._model, [unit for unit in self.units if unit in units])


class Static(Family):
    """Everything that has an integer kernel in int8, with ranges of activations from calibration data."""

    name = "int8-static"
    nothing = "no node with an integer kernel"

    def __init__(self, prepared: Prepared, ranges: TensorsData, method: str) -> None:
        model, sources = untied(prepared)
        super().__init__(model, static_nodes(model))
        self._sources = sources
        self._ranges = ranges
        self._ranges_described = f"ranges from calibration ({method})"

    def only(self, units: Collection[str]) -> ModelProto:
        """Return the model with these nodes in int8."""
        return quantize_statically(self._model, units, self._ranges)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice off the terminal: it logs to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
