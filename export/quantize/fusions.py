"""Fuses what transformers are made of into single operators of onnxruntime: attention, and GELU with its bias."""

from pathlib import Path

import onnx_ir
from onnx_ir.passes.common import ShapeInferencePass
from onnxscript.optimizer import optimize
from onnxscript.rewriter.ort_fusions import shape_optimization
from onnxscript.rewriter.ort_fusions.bias_gelu import fuse_bias_gelu
from onnxscript.rewriter.ort_fusions.erfgelu import fuse_erfgelu
from onnxscript.rewriter.ort_fusions.gelu import fuse_gelu
from onnxscript.rewriter.ort_fusions.mha import fuse_mha1, fuse_mha2
from onnxscript.rewriter.ort_fusions.mha_bias import fuse_mha_bias
from onnxscript.rewriter.ort_fusions.mha_scale import fuse_mha_scale
from onnxscript.rewriter.ort_fusions.sdpa import fuse_sdpa
from onnxscript.rewriter.ort_fusions.sdpa_via_mha import replace_sdpa_by_mha

__all__ = ["write_fused"]


def write_fused(source: Path, target: Path) -> dict[str, int]:
    """Write the model in `source` to `target` with fused operators; return how many of each kind were made.

    Nothing is written where nothing could be fused. Queries, keys and values stay matrix products of their own in front
    of `MultiHeadAttention`: onnxruntime's quantiser takes the operator `Attention`, which holds them all, for one
    without a mask, and drops what is to be left out. Layer norm is one operator already; with its sum it is slower, see
    `handlers.runtime.session`.
    """
    model = onnx_ir.load(source)
    ShapeInferencePass()(model)
    optimize(model)
    shape_optimization.rules.apply_to_model(model)
    optimize(model)
    fuse_erfgelu(model)
    fuse_sdpa(model, apply_shape_inference=True)
    attentions = fuse_mha1(model) + fuse_mha2(model)
    if attentions:
        fuse_mha_scale(model)
        fuse_mha_bias(model)
    replace_sdpa_by_mha(model)  # what is left of an attention that could not be fused whole: no operator by itself
    gelus = max(fuse_gelu(model), fuse_bias_gelu(model))
    optimize(model)
    counts = {"attention": attentions, "GELU": gelus}
    found = {name: count for name, count in counts.items() if count}
    if found:
        onnx_ir.save(model, target)
    return found
