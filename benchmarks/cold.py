"""How long a cold start takes from process start to the first answer, beside a plain handler, in turns with it.

Both run the package that `sam build` makes, under the real runtime client and emulator, a fresh process each, and get
the same model from the same S3 API. The plain one downloads the variant that ours chooses with boto3, opens it at
import, and checks nothing; it is measured with bytecode and, as SAM's own pip builder leaves it, without.
"""

import base64
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track

from export.progress import Progress
from export.publish import publish
from handlers.registry.manifest import MANIFEST_FILE, decode_manifest
from handlers.registry.stores import open_store
from tests.interpreters import ROOT, find_python
from tests.servers.lambda_runtime import running_function
from tests.servers.s3 import running_s3

_ROUNDS = 9
_PACKAGE = ROOT / ".aws-sam" / "build" / "InferenceFunction"
_ARTIFACT = ROOT / "build" / "demo" / "artifact"


def main() -> int:
    """Measure and print."""
    python = find_python("3.13")
    for needed, how in ((python, "install Python 3.13"), (_PACKAGE, "make sam-build"), (_ARTIFACT, "make demo")):
        if needed is None or not needed.exists():
            print(f"bench: {needed or 'python3.13'} is missing; {how}", file=sys.stderr)
            return 1
    assert python is not None  # noqa: S101 - looked at above
    event = json.loads((ROOT / "events" / "infer.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name, running_s3(Path(name)) as server:
        folder = Path(name)
        import os

        os.environ |= server.environment
        store = f"s3://{server.make_bucket()}/lambdaserve"
        published = publish(_ARTIFACT, open_store(store), "live", Progress())
        manifest = decode_manifest((_ARTIFACT / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
        variant = manifest.variants_for(manifest.provenance.cpu)[0].file
        key = f"lambdaserve/models/{published.model}/versions/{published.version}/{variant}"
        plain = server.environment | {"MODEL_BUCKET": store.split("/")[2], "MODEL_KEY": key}
        contenders = {
            "lambdaserve": (_PACKAGE, "handlers.inference.handler", server.environment | {"LAMBDASERVE_STORE": store}),
            "plain handler": (_plain(folder / "plain", bytecode=True), "plain_handler.handler", plain),
            "plain handler, no bytecode": (_plain(folder / "bare", bytecode=False), "plain_handler.handler", plain),
        }
        times: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in track(range(_ROUNDS), "cold starts", console=Console(stderr=True)):
            for contender, (package, handler, environ) in contenders.items():
                times[contender].append(_first_answer_s(package, python, handler, environ, event))
    print(f"cold start to first answer, {variant} of {published.model}, medians of {_ROUNDS}")
    ours = statistics.median(times["lambdaserve"])
    for contender, values in times.items():
        median = statistics.median(values)
        print(f"  {contender:28s} {median:.2f} s   ({min(values):.2f} to {max(values):.2f}; {ours / median:.2f} times)")
    return 0


def _plain(package: Path, *, bytecode: bool) -> Path:
    """Make a package of the same wheels around the plain handler."""
    leave_out = ["handlers"] if bytecode else ["handlers", "__pycache__"]
    shutil.copytree(_PACKAGE, package, ignore=shutil.ignore_patterns(*leave_out))
    shutil.copy(ROOT / "benchmarks" / "plain_handler.py", package)
    return package


def _first_answer_s(
    package: Path, python: Path, handler: str, environ: Mapping[str, str], event: Mapping[str, object]
) -> float:
    # the package's folder must not fill with bytecode that an earlier round has compiled
    environ = {**environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with running_function(package, python, environ, runtime_client=ROOT / ".venv-runtime", handler=handler) as function:
        start = time.perf_counter()
        answer = function.invoke(event)
        duration_s = time.perf_counter() - start
    body = answer["body"]
    logits = json.loads(base64.b64decode(body) if answer["isBase64Encoded"] else body)["outputs"][0]["data"]
    if logits.index(max(logits)) != 7:  # noqa: PLR2004 - the digit in events/infer.json
        msg = f"{handler}: a wrong answer is no result: {answer}"
        raise RuntimeError(msg)
    return duration_s


if __name__ == "__main__":
    sys.exit(main())
