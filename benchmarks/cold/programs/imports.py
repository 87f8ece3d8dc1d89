"""The memory that the same imports take, and the same session opened from a local file: prints the peak in bytes.

`python -m imports MODEL THREADS`, in the environment of the function, over a store without models.
"""

import sys

import awslambdaric.bootstrap  # type: ignore[import-untyped]  # noqa: F401 - what is imported is measured
import numpy as np  # noqa: F401
import onnxruntime

import handlers.inference  # noqa: F401

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib may be no import of theirs
    peak = next(line for line in status if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024, flush=True)
