"""One application for all tests of the web face: no request changes it, so none needs its own."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.models import Models
from handlers.registry.stores import Store
from handlers.settings import Settings
from handlers.tasks.datatypes import NUMPY_TYPES
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine, gather, identity, sum_and_difference
from tests.handlers.api.gateway import Gateway
from tests.handlers.api.watch import FUZZING, Watch

MAX_BODY_BYTES = 1_000_000
MOST_CPU_S = 1.0
HANG_S = 30.0  # by the clock, on a machine where others are at work
WATCHES: list[Watch] = []
VARIABLE = ("rows", "columns")


@pytest.fixture(scope="session")
def store_of_graphs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store with a model for each graph, and `identity-{datatype}` [-1, -1] for each datatype."""
    url = (tmp_path_factory.mktemp("api") / "store").as_uri()
    row = np.array([[0, 1]], np.float32)
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    publish_graphs(url, "pair", {"fp32": sum_and_difference()}, [{"a": row, "b": row}])
    publish_graphs(url, "gather", {"fp32": gather([10, 20, 30])}, [{"index": np.array([1])}])
    publish_graphs(url, "scalar", {"fp32": identity("FP32", [])}, [{"x": np.array(1, np.float32)}])
    publish_graphs(url, "cube", {"fp32": identity("FP32", ["i", "j", "k"])}, [{"x": row.reshape(1, 1, 2)}])
    for datatype, dtype in NUMPY_TYPES.items():
        example = np.array([["a"]], dtype=object) if datatype == "BYTES" else np.array([[1]], dtype)
        publish_graphs(url, f"identity-{datatype.lower()}", {"fp32": identity(datatype, VARIABLE)}, [{"x": example}])
    return url


@pytest.fixture(scope="session")
def service(store_of_graphs: str, tmp_path_factory: pytest.TempPathFactory) -> Service:
    settings = Settings(store_url=store_of_graphs, scratch_dir=tmp_path_factory.mktemp("scratch"))
    return make_service(settings)


@pytest.fixture(scope="session")
def gateway(service: Service) -> Iterator[Gateway]:
    """The application with every model loaded, whichever tests came before."""
    service.models.await_all(60)
    for model in service.models.index():
        service.models.await_model(model.name, None, 60)
    gateway = Gateway(create_app(service))
    yield gateway
    gateway.close()


@pytest.fixture(scope="session")
def fuzzed(service: Service) -> Iterator[Gateway]:
    """A gateway of its own to the same models: it counts what comes in, and in a long run nothing may take long."""
    service.models.await_all(60)
    watch = Watch(create_app(service))
    WATCHES.append(watch)
    gateway = Gateway(watch)
    yield gateway
    gateway.close()
    if FUZZING:
        assert watch.most_cpu_s < MOST_CPU_S
        assert watch.slowest_s < HANG_S


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was fuzzed."""
    for watch in WATCHES:
        terminalreporter.write_line(
            f"fuzzing: {watch.cases} cases, the hardest took {watch.most_cpu_s:.3f} s of the processor, "
            f"the slowest {watch.slowest_s:.3f} s"
        )


class _Nowhere(io.StringIO):
    """Takes text and keeps none: a log in memory would look like a leak."""

    def write(self, text: str, /) -> int:
        return len(text)


def make_service(settings: Settings, store: Store | None = None) -> Service:
    """Return a service that keeps its log and its metrics to itself. `store`: that of the settings, if it is open."""
    telemetry = Telemetry("INFO", log_stream=_Nowhere(), emit_metrics=False)
    return Service(Models(settings, telemetry, store=store), telemetry, MAX_BODY_BYTES)


@pytest.fixture
def empty_store(tmp_path: Path) -> Settings:
    """Settings for a store with nothing in it."""
    return Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
