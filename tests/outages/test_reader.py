"""What clients of the service see while the store fails: the right answer, or a clear 503, and never anything else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.errors import ModelNotReady
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway, infer_body, tensor
from tests.outages.conftest import Behind, Client
from tests.servers.faults import FAULTS, Fault, FaultKind

ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))
RIGHT = [1, 3, 5]
OBJECTS = ("aliases.json", "manifest.json", "goldens.npz", "fp32.onnx")
SERVED = ("affine",)
WAIT_S = 10.0
READER_FAULTS = [kind for kind in FAULTS if kind != "flipped request"]
WAITED_OUT: tuple[FaultKind, ...] = ("delay", "trickle")

pytestmark = pytest.mark.parametrize("client", ["light client", "boto3"])


@pytest.fixture(autouse=True)
def published(behind: Behind) -> None:
    """A model in the store that doubles and adds 1."""
    publish(behind, 2.0)


def publish(behind: Behind, scale: float) -> str:
    example = {"x": np.array([[0, 1, 2]], np.float32)}
    return publish_graphs(behind.url, "affine", {"fp32": affine(scale)}, [example])


@contextmanager
def serving(behind: Behind, client: Client, scratch: Path, models: tuple[str, ...] = SERVED) -> Iterator[Gateway]:
    """Yield a service whose store is behind the proxy; it has read nothing yet."""
    settings = Settings(store_url=behind.url, scratch_dir=scratch, models=models)
    gateway = Gateway(create_app(make_service(settings, behind.open(client))))
    try:
        yield gateway
    finally:
        gateway.close()


def ask(gateway: Gateway, right: list[int] = RIGHT) -> int:
    """Return the status of an answer, which must be right, or a 503 that says something."""
    answer = gateway.infer("affine", ROW)
    if answer.status == 503:
        assert ", expected " in answer.body["error"]
    else:
        assert (answer.status, answer.body["outputs"][0]["data"]) == (200, right)
    return answer.status


def statuses(behind: Behind, client: Client, scratch: Path, fault: Fault) -> list[int]:
    """Return what a new service answers first, while a fault that passes hits it, and then."""
    with serving(behind, client, scratch) as gateway:
        behind.proxy.arm(fault)
        found = [ask(gateway), ask(gateway)]
        assert behind.proxy.hits == 1
        behind.proxy.heal()
    return found


@pytest.mark.parametrize("kind", WAITED_OUT)
def test_a_slow_answer_is_waited_for(behind: Behind, client: Client, tmp_path: Path, kind: FaultKind) -> None:
    for key in OBJECTS:
        assert statuses(behind, client, tmp_path, Fault(kind, "GET", key)) == [200, 200]


@pytest.mark.parametrize("kind", ["silence", "dropped request", "lost answer", "500", "503 SlowDown"])
def test_what_may_pass_is_asked_for_again(behind: Behind, client: Client, tmp_path: Path, kind: FaultKind) -> None:
    for key in OBJECTS:
        assert statuses(behind, client, tmp_path, Fault(kind, "GET", key)) == [200, 200]


@pytest.mark.parametrize("kind", ["truncated head", "truncated answer"])
def test_an_answer_that_breaks_off_is_never_used(
    behind: Behind, client: Client, tmp_path: Path, kind: FaultKind
) -> None:
    expected = [200, 200] if client == "light client" else [503, 200]  # boto3 does not ask again for a body
    for key in OBJECTS:
        assert statuses(behind, client, tmp_path, Fault(kind, "GET", key)) == expected


@pytest.mark.parametrize("kind", ["409", "412"])
def test_what_s3_answers_to_no_reader_is_reported(
    behind: Behind, client: Client, tmp_path: Path, kind: FaultKind
) -> None:
    for key in OBJECTS:
        assert statuses(behind, client, tmp_path, Fault(kind, "GET", key)) == [503, 200]


def test_altered_bytes_are_never_used(behind: Behind, client: Client, tmp_path: Path) -> None:
    for key in OBJECTS:
        assert statuses(behind, client, tmp_path, Fault("flipped answer", "GET", key)) == [503, 200]


@pytest.mark.parametrize("kind", READER_FAULTS)
def test_while_a_fault_lasts_the_answer_is_503_and_then_right(
    behind: Behind, client: Client, tmp_path: Path, kind: FaultKind
) -> None:
    with serving(behind, client, tmp_path) as gateway:
        behind.proxy.arm(Fault(kind, "GET", times=None))
        assert ask(gateway) == (200 if kind in WAITED_OUT else 503)
        assert behind.proxy.hits > 0
        behind.proxy.heal()

        assert ask(gateway) == 200


@pytest.mark.parametrize("kind", READER_FAULTS)
def test_a_loaded_model_answers_whatever_happens_to_the_store(
    behind: Behind, client: Client, tmp_path: Path, kind: FaultKind
) -> None:
    settings = Settings(store_url=behind.url, scratch_dir=tmp_path, models=SERVED)
    service = make_service(settings, behind.open(client))
    service.models.await_all(WAIT_S)
    gateway = Gateway(create_app(service))
    publish(behind, 3.0)
    behind.proxy.arm(Fault(kind, "GET", times=None))
    try:
        if kind in WAITED_OUT:
            assert service.models.load("affine", WAIT_S).version == "2"
        else:
            with pytest.raises(ModelNotReady):
                service.models.load("affine", WAIT_S)
            assert ask(gateway, RIGHT) == 200
            behind.proxy.heal()
            assert service.models.load("affine", WAIT_S).version == "2"
        assert ask(gateway, [1, 4, 7]) == 200
    finally:
        gateway.close()


def test_a_list_of_models_that_fails_is_read_again_after_some_seconds(
    behind: Behind, client: Client, tmp_path: Path
) -> None:
    with serving(behind, client, tmp_path, models=()) as gateway:
        behind.proxy.arm(Fault("500", "GET", "list-type=2", times=None))
        assert ask(gateway) == 503
        behind.proxy.heal()

        end = time.monotonic() + WAIT_S
        while ask(gateway) != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
