"""Graphs are prepared: named, folded, and, for transformers, with fused operators that answer as the parts did."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.quantize.graph import copied, prepare, with_products
from export.quantize.integers import dynamic_nodes, quantize_dynamically, static_nodes
from handlers.runtime.session import Session
from tests.export.sources import converted, mlp, normal, source_of


class Encoder(nn.Module):
    """One layer of BERT: attention with a mask, layer norm, GELU; as transformers writes it."""

    def __init__(self, width: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads = heads

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = [
            layer(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        hidden = (1.0 - mask[:, None, None, :]) * torch.finfo(x.dtype).min
        hidden = hidden.expand(batch, 1, length, length)
        query, key, value = split
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=hidden)
        x = self.first(x + self.out(attended.transpose(1, 2).reshape(batch, length, width)))
        result: torch.Tensor = self.second(x + self.down(nn.functional.gelu(self.up(x))))
        return result


def encoder(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    mask = np.ones((2, 9), np.float32)
    mask[1, 5:] = 0
    inputs = {"x": normal(2, 9, 64), "mask": mask}
    source = source_of(
        Encoder(),
        inputs={name: torch.from_numpy(value) for name, value in inputs.items()},
        dynamic={name: {0: "batch", 1: "sequence"} for name in inputs},
    )
    converted(source, folder / "fp32.onnx")
    return folder / "fp32.onnx", inputs


def test_attention_and_gelu_are_fused_and_answer_alike(tmp_path: Path) -> None:
    path, inputs = encoder(tmp_path)
    fused = prepare(path, fuse=True)
    assert fused.fused == {"attention": 1, "GELU": 1}
    assert fused.described == "1 attention, 1 GELU"
    operators = Counter(node.op_type for node in fused.model.graph.node)
    assert operators["MultiHeadAttention"] == 1
    assert operators["LayerNormalization"] == 2
    assert not {"Softmax", "Gelu", "Erf"} & set(operators)
    onnx.save(fused.model, tmp_path / "fused.onnx")
    right = Session(path, threads=1).run(inputs)["y"]
    found = Session(tmp_path / "fused.onnx", threads=1).run(inputs)["y"]
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)  # fp32, summed in another order


def test_what_is_masked_stays_masked_in_int8(tmp_path: Path) -> None:
    """onnxruntime's own quantised attention drops this mask: its answers would depend on what is in the padding."""
    path, inputs = encoder(tmp_path)
    model, _ = with_products(copied(prepare(path, fuse=True).model))
    nodes = dynamic_nodes(model)
    assert len(nodes) == 6
    onnx.save(quantize_dynamically(model, nodes), tmp_path / "int8.onnx")
    session = Session(tmp_path / "int8.onnx", threads=1)
    padded = inputs["x"].copy()
    padded[1, 5:] = padded[1, :4]  # as large, and something else
    found = session.run(inputs)["y"][1, :5]
    np.testing.assert_allclose(session.run(inputs | {"x": padded})["y"][1, :5], found, rtol=0.1, atol=0.1)
    np.testing.assert_allclose(found, Session(path, threads=1).run(inputs)["y"][1, :5], rtol=0.1, atol=0.1)


def test_nothing_is_fused_where_that_is_not_asked_for_or_there_is_nothing(tmp_path: Path) -> None:
    path, _ = encoder(tmp_path)
    assert prepare(path, fuse=False).fused == {}
    converted(source_of(mlp(4, 16, 3)), tmp_path / "mlp.onnx")
    assert prepare(tmp_path / "mlp.onnx", fuse=True).fused == {}


def test_every_node_has_a_name_of_its_own(tmp_path: Path) -> None:
    path, _ = encoder(tmp_path)
    for fuse in (False, True):
        names = [node.name for node in prepare(path, fuse=fuse).model.graph.node]
        assert all(names)
        assert len(set(names)) == len(names)


def test_dense_layers_become_products_for_dynamic_kernels(tmp_path: Path) -> None:
    converted(source_of(mlp(64, 64, 64), torch.zeros(1, 64)), tmp_path / "mlp.onnx")
    prepared = prepare(tmp_path / "mlp.onnx", fuse=False)
    assert dynamic_nodes(prepared.model) == []
    model, _ = with_products(copied(prepared.model))
    assert len(dynamic_nodes(model)) == 2


@pytest.mark.parametrize("kind", ["relu", "pool"])
def test_what_follows_others_into_int8_is_not_decided_on(kind: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU() if kind == "relu" else nn.MaxPool2d(2))
    converted(source_of(module, torch.zeros(1, 3, 8, 8)), tmp_path / "cnn.onnx")
    assert len(static_nodes(prepare(tmp_path / "cnn.onnx", fuse=False).model)) == 1
