"""Tombstones: what stands in the place of a manifest where a version is no more, or never came to be.

A publisher creates the manifest only if nothing is there: where a tombstone is, it is refused. docs/manifest.md is the
specification.
"""

import msgspec

from handlers.errors import VersionNotFound
from handlers.registry.sealed import seal, unseal

__all__ = ["LARGEST_TOMBSTONE_BYTES", "Ending", "Tombstone", "decode_tombstone", "encode_tombstone"]

LARGEST_TOMBSTONE_BYTES = 2048
"""Whoever lists a store need not read what is larger to know that it is a manifest."""


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who ended a version, when (RFC 3339) and why; `id` is the operation's."""

    id: str
    at: str
    by: str
    reason: str


class Tombstone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sealed document under the key of the manifest."""

    schema_version: int
    model: str
    version: str
    tombstone: Ending

    def refusal(self, subject: str) -> VersionNotFound:
        """Return what to raise where somebody wants the version; `subject` is the key."""
        end = self.tombstone
        found = f"version {self.version} closed at {end.at} by {end.by} ({end.reason})"
        return VersionNotFound(f"{subject}: {found}, expected one that exists; its number is never used again")


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """Return the bytes to write: `LARGEST_TOMBSTONE_BYTES` at most. What is too long of the words is cut off."""
    end = tombstone.tombstone
    signs = LARGEST_TOMBSTONE_BYTES
    while len(data := seal(tombstone)) > LARGEST_TOMBSTONE_BYTES:
        signs //= 2
        cut = Ending(id=end.id[:signs], at=end.at, by=end.by[:signs], reason=end.reason[:signs])
        tombstone = msgspec.structs.replace(tombstone, tombstone=cut)
    return data


def decode_tombstone(data: bytes, subject: str) -> Tombstone:
    """Return the tombstone in the bytes of `manifest.json`.

    Raises:
        CorruptFile: This is none, or not as it was written.
    """
    return unseal(data, Tombstone, subject)
