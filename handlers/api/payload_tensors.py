"""Tensors that travel through the payload bucket: raw bytes, as in the binary extension of the Open Inference Protocol.

An input has `"parameters": {"payload": id}` in place of data. An output goes that way by itself where the answer would
be too large for Lambda and the caller allows it with `payload_output`.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from handlers.api.oip.binary import element_bytes
from handlers.errors import AnswerTooLarge, InvalidInput
from handlers.payloads.identity import PayloadId
from handlers.payloads.transfer import Transfer
from handlers.registry.manifest import TensorSpec

__all__ = [
    "ADDRESS_BYTES",
    "Parameters",
    "check_payload_size",
    "fetch_inputs",
    "outputs_to_send",
    "send_output",
]

Parameters = dict[str, bool | int | float | str]

ADDRESS_BYTES = 3000
"""What an output takes in the answer that is not there: a signed address, with a session token of Lambda's in it."""


def check_payload_size(spec: TensorSpec, shape: Sequence[int], payload: str) -> None:
    """Refuse a payload that cannot hold a tensor of this shape: its id says so, before anything is fetched.

    Raises:
        InvalidInput: It has another size, or it is no id.
    """
    found, expected = PayloadId.parse(payload).size, math.prod(shape) * element_bytes(spec.datatype)
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


def outputs_to_send(
    transfer: Transfer,
    sizes: Mapping[str, int],
    allowed: Collection[str],
    answer_bytes: int,
    max_answer_bytes: int | None,
) -> list[str]:
    """Return which outputs to send through the bucket so that an answer fits: few, and large ones.

    Args:
        transfer: The request's.
        sizes: Bytes that each output's data takes in the answer, at least.
        allowed: Outputs that may go.
        answer_bytes: Size of the answer with all of them, at least.
        max_answer_bytes: What it may have; None: any size, so that none has to go.

    Raises:
        AnswerTooLarge: All that may go are not enough; the message says what to do about it.
    """
    chosen: list[str] = []
    left = answer_bytes
    for name in sorted(sizes.keys() & allowed, key=lambda name: -sizes[name]):
        if max_answer_bytes is None or left <= max_answer_bytes:
            break
        left -= sizes[name] - ADDRESS_BYTES
        chosen.append(name)
    if max_answer_bytes is not None and left > max_answer_bytes:
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
