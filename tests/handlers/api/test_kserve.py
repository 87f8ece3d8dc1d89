"""The V1 protocol over models of the task `tensor`."""

from tests.handlers.api.gateway import Gateway


def test_each_instance_gets_a_prediction(gateway: Gateway) -> None:
    answer = gateway.send("POST", "/v1/models/affine:predict", {"instances": [[0, 1, 2], [3, 4, 5]]})

    assert (answer.status, answer.body) == (200, {"predictions": [[1, 3, 5], [7, 9, 11]]})


def test_several_inputs_are_named(gateway: Gateway) -> None:
    answer = gateway.send("POST", "/v1/models/pair:predict", {"instances": [{"a": [3, 4], "b": [1, 1]}]})

    assert (answer.status, answer.body) == (200, {"predictions": [{"sum": [4, 5], "difference": [2, 3]}]})


def test_a_model_says_that_it_is_ready(gateway: Gateway) -> None:
    found = gateway.send("GET", "/v1/models/affine")
    assert (found.status, found.body["name"], found.body["ready"]) == (200, "affine", True)


def test_the_models_are_listed(gateway: Gateway) -> None:
    assert {"affine", "pair", "gather"} <= set(gateway.send("GET", "/v1/models").body["models"])
