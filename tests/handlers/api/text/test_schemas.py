"""What the tasks of text say of their instances and answers, beside what they take and answer."""

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.settings import Settings
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway

MODELS = ["embedder", "judge", "places", "gaps"]
INSTANCES = {"gaps": "good [MASK]", "places": "good paris texas"}
OPTIONS: dict[str, list[dict[str, object]]] = {
    "embedder": [{}],
    "judge": [{}, {"top_k": 1}],
    "places": [{}, {"aggregation_strategy": "simple"}],
    "gaps": [{}, {"top_k": 100}],
}
WRONG = {
    "embedder": {"top_k": 1},
    "judge": {"top_k": 0},
    "places": {"aggregation_strategy": "max"},
    "gaps": {"top_k": 101},
}


@pytest.fixture(scope="module")
def models(store_of_texts: str, tmp_path_factory: pytest.TempPathFactory) -> Models:
    service = make_service(Settings(store_url=store_of_texts, scratch_dir=tmp_path_factory.mktemp("scratch")))
    service.models.await_all(60)
    return service.models


def find(models: Models, name: str) -> LoadedModel:
    return models.await_model(name, None, 60)


@pytest.mark.parametrize("name", MODELS)
def test_the_example_is_answered_and_all_is_as_the_schemas_say(name: str, models: Models, texts: Gateway) -> None:
    task = find(models, name).task
    instances = [task.example, INSTANCES.get(name, "good film")]
    for options in OPTIONS[name]:
        answer = texts.send("POST", f"/v1/models/{name}:predict", {"instances": instances, "parameters": options})
        assert answer.status == 200
        Draft4Validator(task.options_schema).validate(options)
        for instance, prediction in zip(instances, answer.body["predictions"], strict=True):
            Draft4Validator(task.instance_schema).validate(instance)
            Draft4Validator(task.prediction_schema).validate(prediction)
        assert answer.body["predictions"][1]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_refused_is_against_the_schemas(name: str, models: Models) -> None:
    task = find(models, name).task
    with pytest.raises(ValidationError):
        Draft4Validator(task.options_schema).validate(WRONG[name])
    for instance in (7, {}, {"text": 1}, {"text": "good", "pair": "bad"}, ["good"]):
        with pytest.raises(ValidationError):
            Draft4Validator(task.instance_schema).validate(instance)
    with pytest.raises(ValidationError):
        Draft4Validator(task.prediction_schema).validate([{}])
