import hashlib

import msgspec
import pytest

from handlers.errors import CorruptFile
from handlers.registry.sealed import check_seal, seal, unseal


class Note(msgspec.Struct, frozen=True):
    name: str
    numbers: tuple[int, ...]


NOTE = Note("two", (1, 2))
SEALED = b"""{
  "sha256": "f496ea66853262a9af2685a47e3c1eee8ae25e083b4399497a5b5b373e42baf7",
  "name": "two",
  "numbers": [
    1,
    2
  ]
}
"""


def test_a_document_survives_the_round_trip() -> None:
    assert unseal(seal(NOTE), Note, "note") == NOTE


def test_the_bytes_are_those_of_the_specification() -> None:
    assert seal(NOTE) == SEALED
    assert unseal(SEALED, Note, "note") == NOTE


def test_the_hash_can_be_checked_by_hand() -> None:
    digits = msgspec.json.decode(SEALED)["sha256"].encode()

    assert hashlib.sha256(SEALED.replace(digits, b"0" * 64)).hexdigest().encode() == digits


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    believed = []
    for position in range(len(SEALED)):
        altered = bytearray(SEALED)
        altered[position] ^= 1 << bit
        try:
            check_seal(bytes(altered), "note")
        except CorruptFile:
            continue
        believed.append(position)

    assert believed == []


def test_every_cut_is_refused() -> None:
    believed = []
    for length in range(len(SEALED)):
        try:
            unseal(SEALED[:length], Note, "note")
        except CorruptFile:
            continue
        believed.append(length)

    assert believed == []


def test_bytes_after_the_document_are_refused() -> None:
    with pytest.raises(CorruptFile):
        unseal(SEALED + b" ", Note, "note")


def test_an_altered_document_is_refused_with_both_hashes() -> None:
    altered = SEALED.replace(b"two", b"six")
    expected = msgspec.json.decode(SEALED)["sha256"]
    found = hashlib.sha256(altered.replace(expected.encode(), b"0" * 64)).hexdigest()

    with pytest.raises(CorruptFile, match=f"^models/m/note.json: sha256 {found}, expected {expected}$"):
        unseal(altered, Note, "models/m/note.json")


def test_a_document_of_another_kind_is_refused() -> None:
    class Other(msgspec.Struct):
        colour: str

    with pytest.raises(CorruptFile, match=r"note: .*`colour`.*, expected a other"):
        unseal(SEALED, Other, "note")


def test_json_that_carries_no_hash_is_refused() -> None:
    with pytest.raises(CorruptFile, match=r"12 bytes that start with .*, expected a document with its sha256"):
        unseal(b'{"name": ""}', Note, "note")
