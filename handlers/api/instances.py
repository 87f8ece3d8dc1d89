"""From a request's body to the instances of a task, whatever kind of body it is."""

from typing import Any

import msgspec
from starlette.requests import Request

from handlers.api.headers import header
from handlers.api.predict import Instances
from handlers.errors import InvalidInput, UnsupportedMedia
from handlers.payloads.transfer import Transfer
from handlers.tasks.task import Task

__all__ = ["FORM_TYPE", "JSON_TYPES", "content_type", "media_type", "read_instances"]

FORM_TYPE = "multipart/form-data"
JSON_TYPES = ("", "application/json", "application/x-www-form-urlencoded")
"""The last is what `curl -d` calls a body of any kind."""
_CSV_TYPE = "text/csv"


class _PredictRequest(msgspec.Struct):
    """KServe V1: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol."""

    instances: list[Any]
    parameters: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_PredictRequest)


def content_type(request: Request) -> str:
    """Return the content type with its parameters; empty where there is none."""
    return header(request, b"content-type") or ""


def media_type(request: Request) -> str:
    """Return the content type without its parameters, in lower case; empty where there is none."""
    return _without_parameters(content_type(request))


def read_instances(content: str, body: bytes, task: Task, transfer: Transfer) -> Instances:
    """Return what a request asks of a model with that task.

    Args:
        content: The content type; forms need its parameters.
        body: All of it.
        task: Of the model; it says which bodies are one instance.
        transfer: Fetches instances that are payloads, `{"payload": id}`; raises more than is listed here.

    Raises:
        InvalidInput: The body is not what its content type says, or no prediction request.
        UnsupportedMedia: Nothing here reads that content type.
    """
    media = _without_parameters(content)
    if media in task.media_types:
        if media == _CSV_TYPE:
            from handlers.tasks.table import read_csv

            return Instances(read_csv(body), {})
        return Instances([body], {})
    forms = set(task.media_types) - {_CSV_TYPE}  # a part of a form is one instance, and a table holds many
    if media == FORM_TYPE and forms:
        from handlers.api.forms import read_form  # here: few requests are forms

        form = read_form(content, body)
        return Instances(form.files, form.options)
    if media not in JSON_TYPES:
        expected = ", ".join(["application/json", *task.media_types, *([FORM_TYPE] if forms else [])])
        msg = f"content type: {media[:80]!r}, expected one of: {expected}"
        raise UnsupportedMedia(msg)
    try:
        asked = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"body: {error}, expected a JSON object with `instances`"
        raise InvalidInput(msg) from error
    except RecursionError as error:
        msg = "body: nested too deep, expected a JSON object with `instances`"
        raise InvalidInput(msg) from error
    return Instances(_with_payloads(asked.instances, task, transfer), asked.parameters)


def _with_payloads(instances: list[Any], task: Task, transfer: Transfer) -> list[Any]:
    """Return the instances with the bytes of a payload in place of each that names one."""
    ids = {
        number: instance["payload"]
        for number, instance in enumerate(instances)
        if isinstance(instance, dict) and instance.keys() == {"payload"} and isinstance(instance["payload"], str)
    }
    if not ids:
        return instances
    if not task.media_types:
        msg = (
            f"instances[{next(iter(ids))}]: a payload, expected JSON: this model's task reads no raw bytes; "
            "send tensors as payloads to /v2/models/{model}/infer"
        )
        raise InvalidInput(msg)
    fetched = dict(zip(ids, transfer.receive([*ids.values()]), strict=True))
    return [bytes(fetched[number]) if number in ids else instance for number, instance in enumerate(instances)]


def _without_parameters(content: str) -> str:
    return content.partition(";")[0].strip().lower()
