"""Routes that publish over the network: claim a number, upload the files to signed addresses, finalise.

What `lambdaserve publish` does with the files beside it, in the steps that the network puts between. To let an alias
name the version is another right, and another route.
"""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from handlers.api.management.answers import Claimed, Finalised, Upload
from handlers.api.management.manifests import read_manifest
from handlers.api.management.refusals import REFUSALS
from handlers.api.management.requests import ClaimRequest, FinaliseRequest, ModelName, VersionNumber
from handlers.api.management.service import ChangeGiven
from handlers.errors import OperationReused
from handlers.registry.manifest import Manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.versions.claims import Claim, check_claimer, claim, find_claim
from handlers.versions.listing import list_files
from handlers.versions.publishing import check_open, check_uploaded, finish

__all__ = ["router"]

router = APIRouter(prefix="/models/{model}/versions", tags=["publishing"], responses=REFUSALS)

_VALID_S = 3600


@router.post("", status_code=201)
def claim_version(model: ModelName, body: ClaimRequest, asked: ChangeGiven) -> Claimed:
    """Take a number for a version, and get an address for each of its files.

    With the same Idempotency-Key: the same number, and fresh addresses for the files that are not there yet.
    """
    management, operation = asked.management, asked.operation("")
    with management.recording("claim", model, operation):
        manifest, store = read_manifest(body.manifest, model), management.store
        expires_at = datetime.now(UTC) + timedelta(seconds=_VALID_S)
        _sign(store, "1", manifest)  # no number is taken where nothing can be uploaded
        claimed = claim(store, model, operation)
        uploaded = _uploaded(store, claimed, manifest)
        uploads = [upload for upload in _sign(store, claimed.version, manifest) if upload.file not in uploaded]
    return Claimed(
        model=model,
        version=claimed.version,
        operation=operation.id,
        uploads=uploads,
        uploaded=uploaded,
        expires_at=expires_at.isoformat(timespec="seconds"),
    )


@router.post("/{version}/finalise")
def finalise_version(model: ModelName, version: VersionNumber, body: FinaliseRequest, asked: ChangeGiven) -> Finalised:
    """Check what was uploaded, and make a version of it. No alias names it before it is promoted.

    Who may publish need not be one who may move aliases: IAM tells the two by their paths.
    """
    management, operation = asked.management, asked.operation("")
    with management.recording("finalise", model, operation, version=version):
        manifest = read_manifest(body.manifest, model)
        claimed = find_claim(management.store, model, version)
        check_claimer(claimed, model, operation)
        check_open(management.store, model, version)  # its files may be gone, which is not what there is to say
        check_uploaded(management.store, model, version, manifest)
        finish(management.store, claimed, manifest)
    return Finalised(model=model, version=version, operation=operation.id)


def _sign(store: Store, version: str, manifest: Manifest) -> list[Upload]:
    """Return an address for each file. Asks nothing of the store."""
    uploads = []
    for name, entry in manifest.files.items():
        url, headers = store.sign_upload(file_key(manifest.model, version, name), entry.size, entry.sha256, _VALID_S)
        uploads.append(Upload(file=name, url=url, headers=headers))
    return uploads


def _uploaded(store: Store, claimed: Claim, manifest: Manifest) -> list[str]:
    """Return the files of the manifest that are there.

    Raises:
        OperationReused: Some are others: this is not the manifest that the number was taken for.
        VersionRetired: The version was closed, or deleted.
    """
    check_open(store, manifest.model, claimed.version)
    [found] = list_files(store, manifest.model, claimed.version)
    present = [name for name in manifest.files if name in found.files]
    for name in present:
        stored, entry = store.describe(file_key(manifest.model, claimed.version, name)), manifest.files[name]
        if stored.size != entry.size or stored.sha256 not in (None, entry.sha256):
            msg = (
                f"operation {claimed.id!r}: {name} uploaded already, and other than this manifest says, expected a new "
                "id for another manifest"
            )
            raise OperationReused(msg)
    return present
