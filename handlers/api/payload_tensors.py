"""Tensors that travel through the payload bucket: raw bytes, as in the binary extension of the Open Inference Protocol.

An input has `"parameters": {"payload": id}` in place of data. An output goes that way by itself where the answer would
be too large for Lambda and the caller allows it with `payload_output`.
"""

from collections.abc import Collection, Mapping, Sequence

from handlers.api.raw_tensors import least_bytes
from handlers.errors import AnswerTooLarge, InvalidInput
from handlers.payloads.identity import PayloadId
from handlers.payloads.transfer import Transfer
from handlers.registry.manifest import TensorSpec

__all__ = [
    "ADDRESS_BYTES",
    "Parameters",
    "allows_payload",
    "check_payload_size",
    "fetch_inputs",
    "outputs_to_send",
    "payload_of",
    "send_output",
]

Parameters = dict[str, bool | int | float | str]

ADDRESS_BYTES = 3000
"""What an output takes in the answer that is not there: a signed address, with a session token of Lambda's in it."""


def payload_of(name: str, parameters: "Parameters | None", *, has_data: bool) -> str | None:
    """Return the id of the payload that holds the input `name`, None where the request holds it.

    Raises:
        InvalidInput: It is nowhere or in both places, or the id is no text.
    """
    payload = (parameters or {}).get("payload")
    if payload is not None and not isinstance(payload, str):
        msg = f"input {name[:80]!r}: parameter `payload` of type {type(payload).__name__}, expected the id of a payload"
        raise InvalidInput(msg)
    if has_data == (payload is not None):
        found = "both data and a payload" if has_data else "neither data nor the parameter `payload`"
        msg = f"input {name[:80]!r}: {found}, expected one of them"
        raise InvalidInput(msg)
    return payload


def check_payload_size(spec: TensorSpec, shape: Sequence[int], payload: str) -> None:
    """Refuse a payload that cannot hold a tensor of this shape: its id says so, before anything is fetched.

    Raises:
        InvalidInput: It has another size, or it is no id.
    """
    found, expected = PayloadId.parse(payload).size, least_bytes(spec.datatype, shape)
    least = "at least " if spec.datatype == "BYTES" else ""
    if found < expected if least else found != expected:
        wanted = f"{least}{expected} for {spec.datatype} {list(shape)}"
        msg = f"input {spec.name!r}: a payload of {found} bytes, expected {wanted}"
        raise InvalidInput(msg)


def fetch_inputs(transfer: Transfer, ids: Mapping[str, str]) -> dict[str, memoryview]:
    """Return the bytes of inputs, all fetched in parallel, by name. Raises as `Transfer.receive`."""
    if not ids:
        return {}
    return dict(zip(ids, transfer.receive([*ids.values()]), strict=True))


def allows_payload(parameters: "Parameters | None", transfer: Transfer, *, otherwise: bool = False) -> bool:
    """Tell whether a request, or a requested output of it, may be answered through the bucket.

    Raises:
        InvalidInput: `payload_output` is neither true nor false.
        NotSupported: It is true and there is no bucket.
    """
    allowed = (parameters or {}).get("payload_output", otherwise)
    if not isinstance(allowed, bool):
        msg = f"parameter `payload_output`: of type {type(allowed).__name__}, expected true or false"
        raise InvalidInput(msg)
    if allowed:
        transfer.check()
    return allowed


def outputs_to_send(
    transfer: Transfer, sizes: Mapping[str, int], allowed: Collection[str], answer_bytes: int, max_answer_bytes: int
) -> list[str]:
    """Return which outputs to send through the bucket so that an answer fits: few, and large ones.

    Args:
        transfer: The request's.
        sizes: Bytes that each output's data takes in the answer, at least.
        allowed: Outputs that may go.
        answer_bytes: Size of the answer with all of them, at least.
        max_answer_bytes: What it may have; 0: any size, so that none has to go.

    Raises:
        AnswerTooLarge: All that may go are not enough; the message says what to do about it.
    """
    chosen: list[str] = []
    left = answer_bytes
    for name in sorted(sizes.keys() & allowed, key=lambda name: -sizes[name]) if max_answer_bytes else []:
        if left <= max_answer_bytes:
            break
        left -= sizes[name] - ADDRESS_BYTES
        chosen.append(name)
    if left > max_answer_bytes > 0:
        hint = "ask for fewer outputs, or for less at once"
        if transfer.possible and not sizes.keys() <= set(allowed):
            hint = "allow outputs to travel through the payload bucket with the parameter `payload_output`: true"
        msg = f"answer: at least {answer_bytes} bytes, expected at most {max_answer_bytes}; {hint}"
        raise AnswerTooLarge(msg)
    return chosen


def send_output(transfer: Transfer, data: bytes) -> Parameters:
    """Store an output's bytes and return the parameters that say where. Raises as `Transfer.send`."""
    sent = transfer.send(data)
    return {
        "payload": str(sent.payload),
        "payload_url": sent.url,
        "payload_size": sent.payload.size,
        "payload_sha256": sent.payload.sha256,
    }
