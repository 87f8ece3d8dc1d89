"""The official client of Triton, `tritonclient[http]`, against `lambdaserve serve` over a socket."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from handlers import __version__
from handlers.registry.manifest import Datatype
from handlers.tasks.datatypes import NUMPY_TYPES
from tests.servers.serving import serving

ROW = np.array([[0, 1, 2]], np.float32)


@pytest.fixture(scope="module")
def address(store_of_graphs: str) -> Iterator[str]:
    with serving(store_of_graphs) as (url, _):
        yield url.removeprefix("http://")


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


def given(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def test_the_server_is_live_and_ready_and_says_what_it_is(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "lambdaserve",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification", "model_repository", "statistics"],
    }


def test_a_model_is_ready_and_says_what_it_is(client: triton.InferenceServerClient) -> None:
    assert client.is_model_ready("affine")
    assert client.is_model_ready("affine", "1")
    assert not client.is_model_ready("unknown")
    metadata = client.get_model_metadata("affine", "1")
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("affine", ["1"], "onnx_onnxv1")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_model_answers_in_json_and_in_binary(
    client: triton.InferenceServerClient, *, binary_in: bool, binary_out: bool
) -> None:
    x = given("x", ROW, "FP32", binary=binary_in)
    outputs = [triton.InferRequestedOutput("y", binary_data=binary_out)]

    result = client.infer("affine", [x], outputs=outputs, request_id="r-1", model_version="1")

    np.testing.assert_array_equal(result.as_numpy("y"), ROW * 2 + 1)
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("affine", "1", "r-1")
    assert ("data" in response["outputs"][0]) is not binary_out


def test_all_outputs_come_in_binary_where_none_is_named(client: triton.InferenceServerClient) -> None:
    a, b = ROW[:, :2], np.ones((1, 2), np.float32)

    result = client.infer("pair", [given("b", b, "FP32", binary=False), given("a", a, "FP32", binary=True)])

    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    assert all("data" not in output for output in result.get_response()["outputs"])


@pytest.mark.parametrize("datatype", [name for name in NUMPY_TYPES if name not in {"BF16", "BYTES"}])
def test_every_datatype_of_numpy_comes_back(client: triton.InferenceServerClient, datatype: Datatype) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(NUMPY_TYPES[datatype])

    result = client.infer(f"identity-{datatype.lower()}", [given("x", array, datatype, binary=True)])

    assert result.as_numpy("y").dtype == array.dtype
    np.testing.assert_array_equal(result.as_numpy("y"), array)


def test_bf16_comes_back(client: triton.InferenceServerClient) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[0.5, -3.140625]], ml_dtypes.bfloat16)

    result = client.infer("identity-bf16", [given("x", array, "BF16", binary=True)])

    np.testing.assert_array_equal(result.as_numpy("y").astype(np.float32), array.astype(np.float32))


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_text_comes_back(client: triton.InferenceServerClient, *, binary_in: bool, binary_out: bool) -> None:
    texts = np.array([["", "ä"], ["two words", "\U0001f600"]], dtype=object)
    outputs = [triton.InferRequestedOutput("y", binary_data=binary_out)]

    result = client.infer("identity-bytes", [given("x", texts, "BYTES", binary=binary_in)], outputs=outputs)

    found = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("y").ravel()]
    assert found == texts.ravel().tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_classes_come_largest_first(client: triton.InferenceServerClient, *, binary: bool) -> None:
    outputs = [triton.InferRequestedOutput("y", binary_data=binary, class_count=2)]

    result = client.infer("affine", [given("x", ROW, "FP32", binary=True)], outputs=outputs)

    found = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("y")[0]]
    assert found == ["5.0:2", "3.0:1"]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_requests_may_be_compressed(client: triton.InferenceServerClient, algorithm: str, *, binary: bool) -> None:
    x = given("x", np.repeat(ROW, 1000, axis=0), "FP32", binary=binary)

    result = client.infer("affine", [x], request_compression_algorithm=algorithm)

    np.testing.assert_array_equal(result.as_numpy("y"), np.repeat(ROW * 2 + 1, 1000, axis=0))


def test_parameters_are_taken(client: triton.InferenceServerClient) -> None:
    x = given("x", ROW, "FP32", binary=True)

    result = client.infer("affine", [x], timeout=5_000_000, priority=1, parameters={"mine": "yes"})

    np.testing.assert_array_equal(result.as_numpy("y"), ROW * 2 + 1)


def test_requests_may_go_out_at_once(address: str) -> None:
    with triton.InferenceServerClient(address, concurrency=4) as client:
        rows = [ROW * scale for scale in range(20)]
        sent = [client.async_infer("affine", [given("x", row, "FP32", binary=True)]) for row in rows]

        for row, request in zip(rows, sent, strict=True):
            np.testing.assert_array_equal(request.get_result().as_numpy("y"), row * 2 + 1)


def test_statistics_count_what_was_asked(client: triton.InferenceServerClient) -> None:
    def count() -> int:
        [stats] = client.get_inference_statistics("cube")["model_stats"]
        found: int = stats["inference_count"]
        return found

    before = count()
    client.infer("cube", [given("x", np.zeros((3, 1, 1), np.float32), "FP32", binary=True)])

    assert count() == before + 3
    assert {"cube", "pair"} <= {stats["name"] for stats in client.get_inference_statistics()["model_stats"]}


def test_models_are_listed_unloaded_and_loaded(client: triton.InferenceServerClient) -> None:
    def state() -> str:
        found: str = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}["gather"]
        return found

    assert client.is_model_ready("gather")
    assert state() == "READY"
    client.unload_model("gather")
    assert state() == "UNAVAILABLE"
    assert not client.is_model_ready("gather")
    client.load_model("gather")
    assert state() == "READY"
    assert client.is_model_ready("gather")


@pytest.mark.parametrize(
    ("model", "shape", "status", "error"),
    [
        ("affine", (1, 2), "400", "input 'x': shape [1, 2], expected [-1, 3] where -1 is any length"),
        ("unknown", (1, 3), "404", "model 'unknown': not served here, expected one of: "),
    ],
)
def test_errors_are_ours(
    client: triton.InferenceServerClient, model: str, shape: tuple[int, int], status: str, error: str
) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        client.infer(model, [given("x", np.zeros(shape, np.float32), "FP32", binary=True)])

    assert refusal.value.status() == status
    assert refusal.value.message().startswith(error)


def test_a_model_that_is_not_there_is_not_loaded(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="model 'unknown': not served here, expected one of: "):
        client.load_model("unknown")


def test_a_body_that_was_made_for_the_client_is_answered_for_the_client(client: triton.InferenceServerClient) -> None:
    body, json_bytes = triton.InferenceServerClient.generate_request_body([given("x", ROW, "FP32", binary=True)])
    headers = {"Inference-Header-Content-Length": json_bytes}

    response = client._post("v2/models/affine/infer", body, headers, None)  # noqa: SLF001 - it has no public way

    length = int(response.get("Inference-Header-Content-Length"))
    result = triton.InferenceServerClient.parse_response_body(response.read(), header_length=length)
    np.testing.assert_array_equal(result.as_numpy("y"), ROW * 2 + 1)
