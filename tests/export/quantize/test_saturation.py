"""int8 is right on CPUs without VNNI, whose kernels add pairs of products in 16 bits.

Shown under an emulator of such a CPU: it saturates where the hardware does, which an int8 file with eight bits proves.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from export.quantize.families import Dynamic, Static
from export.quantize.graph import prepare
from export.quantize.ranges import find_ranges
from handlers.runtime.session import Session
from tests.export.sources import converted, source_of

EMULATOR = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("emulated.py")

pytestmark = pytest.mark.skipif(
    EMULATOR is None, reason="needs qemu-x86_64-static (Debian: qemu-user-static), which emulates CPUs without VNNI"
)


def largest() -> tuple[nn.Module, np.ndarray]:
    """Return a product whose weights and inputs are all as large as int8 has them: two products are 64,770."""
    layer = nn.Linear(64, 64, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[1::2] = -1.0
    return layer, np.ones((4, 64), np.float32)


def convolution() -> tuple[nn.Module, np.ndarray]:
    layer = nn.Conv2d(32, 32, 3, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    return layer, np.ones((1, 32, 5, 5), np.float32)


def on_a_cpu_without_vnni(folder: Path, inputs: np.ndarray, *models: Path) -> dict[str, np.ndarray]:
    """Return what each model answers under the emulator."""
    np.savez(folder / "inputs.npz", x=inputs)
    assert EMULATOR is not None
    command = [EMULATOR, "-cpu", "Haswell", sys.executable, str(SCRIPT), str(folder / "inputs.npz"), *map(str, models)]
    environment = {"PYTHONPATH": str(ROOT), "OPENBLAS_CORETYPE": "Haswell", "PATH": "/usr/bin:/bin"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return {name: np.array(values) for name, values in json.loads(found.stdout).items()}


@pytest.mark.parametrize("kind", [largest, convolution])
def test_partial_sums_beyond_16_bits_do_not_saturate(kind: object, tmp_path: Path) -> None:
    module, inputs = kind()  # type: ignore[operator] # one of the two above
    with torch.inference_mode():
        right = module(torch.from_numpy(inputs)).numpy()
    fp32 = tmp_path / "fp32.onnx"
    converted(source_of(module, torch.from_numpy(inputs[:1])), fp32)
    prepared = prepare(fp32, fuse=False)
    ranges = find_ranges(prepared.model, "min-max", [{"x": inputs}], tmp_path)
    families = [Static(prepared, ranges, "min-max"), *([Dynamic(prepared)] if kind is largest else [])]
    for family in families:
        family.write(family.units, tmp_path / f"{family.name}.onnx")
    models = [tmp_path / f"{family.name}.onnx" for family in families]
    if kind is largest:  # with eight bits, as onnxruntime quantises unless it is told otherwise
        quantize_dynamic(fp32, tmp_path / "eight-bits.onnx", weight_type=QuantType.QInt8)
        models.append(tmp_path / "eight-bits.onnx")
    found = on_a_cpu_without_vnni(tmp_path, inputs, *models)
    for family in families:
        assert {"int8-static": "QuantizeLinear", "int8-dynamic": "MatMulInteger"}[family.name] in {
            node.op_type for node in onnx.load(tmp_path / f"{family.name}.onnx").graph.node
        }
        np.testing.assert_allclose(found[family.name], right, rtol=0.02)  # a step of 7 bits
        here = Session(tmp_path / f"{family.name}.onnx", threads=1).run({"x": inputs})["y"]
        np.testing.assert_allclose(found[family.name], here, rtol=1e-5)
    if kind is largest:
        assert np.abs(found["eight-bits"] / right).max() < 0.7  # else nothing was shown: this CPU does not saturate
