"""Runs models on inputs and prints their outputs as JSON, also under an emulator: `emulated.py INPUTS.npz MODEL...`."""

import json
import sys
from pathlib import Path

import numpy as np

from handlers.runtime.session import Session

with np.load(sys.argv[1]) as file:
    inputs = {name: file[name] for name in file.files}
answers = {Path(model).stem: Session(Path(model), threads=1).run(inputs)["y"].tolist() for model in sys.argv[2:]}
sys.stdout.write(json.dumps(answers))
