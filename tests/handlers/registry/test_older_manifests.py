"""A version that lambdaserve published when manifests had schema version 1: it lives on as any other."""

import json

import httpx

from export.catalogue import list_models, show_version
from handlers.registry.fetch import fetch_manifest
from handlers.registry.stores import open_store
from tests.aliases import point_alias
from tests.published import OLDER, publish_older
from tests.servers.serving import serving


def test_what_was_kept_is_of_the_older_schema() -> None:
    manifest = json.loads((OLDER / "manifest.json").read_bytes())

    assert manifest["schema_version"] == 1
    assert "published" not in manifest


def test_it_loads_and_is_promoted_and_listed(store_url: str) -> None:
    store = open_store(store_url)
    model, version = publish_older(store)

    manifest = fetch_manifest(store, model, version)
    point_alias(store, model, "live", version)

    assert (manifest.schema_version, manifest.published) == (1, None)
    [listed] = list_models(store)
    assert (listed.name, listed.versions) == (model, [version])
    assert show_version(store, model, None) == manifest


def test_it_is_served(store_url: str) -> None:
    store = open_store(store_url)
    model, version = publish_older(store)
    point_alias(store, model, "live", version)
    body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 1, 2]}]}

    with serving(store_url) as (url, _):
        answer = httpx.post(f"{url}/v2/models/{model}/infer", json=body, timeout=30).json()

    assert answer["model_version"] == version
    assert answer["outputs"][0]["data"] == [1, 3, 5]
