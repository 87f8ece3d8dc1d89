"""fp32 ONNX -> candidate variants. The only place in the export step that touches onnxruntime's quantiser.

Each family of variants is written by functions of its own; whether they are any good is measured elsewhere.
"""
