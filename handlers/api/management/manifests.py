"""Manifests that come with a request: checked as an artifact's is, and against what may be uploaded."""

from handlers.errors import ArtifactError, InvalidInput, VersionNotFound
from handlers.registry.manifest import MANIFEST_FILE, Manifest, decode_manifest
from handlers.versions.claims import CLAIM_FILE

__all__ = ["read_manifest"]

_MOST_FILES = 100  # each takes an address, of up to 2 KB in the answer
_LARGEST_FILE_BYTES = 5 * 1024**3  # S3: in one PUT
_RESERVED = {MANIFEST_FILE, CLAIM_FILE}


def read_manifest(text: str, model: str) -> Manifest:
    """Return the manifest in the text of an artifact's `manifest.json`.

    Raises:
        InvalidInput: It is none, or altered, or of another model; it has a number already, or files that cannot be
            uploaded: too many, too large, or in the place of the manifest or the claim.
    """
    try:
        manifest = decode_manifest(text.encode(), "manifest")
    except (ArtifactError, VersionNotFound) as error:  # a tombstone is what no version is found at
        raise InvalidInput(str(error)) from error
    largest = max(entry.size for entry in manifest.files.values())
    reserved = sorted(_RESERVED & manifest.files.keys())
    for wrong, problem in (
        (manifest.model != model, f"of model {manifest.model!r}, expected {model!r} as the path says"),
        (manifest.version is not None, f"of version {manifest.version}, expected one without a number yet"),
        (len(manifest.files) > _MOST_FILES, f"{len(manifest.files)} files, expected {_MOST_FILES} at most"),
        (largest > _LARGEST_FILE_BYTES, f"a file of {largest} bytes, expected {_LARGEST_FILE_BYTES} at most"),
        (bool(reserved), f"a file by the name of {', '.join(reserved)}, expected another name"),
    ):
        if wrong:
            msg = f"manifest: {problem}"
            raise InvalidInput(msg)
    return manifest
