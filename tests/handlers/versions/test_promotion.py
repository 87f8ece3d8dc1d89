"""The gate of a promotion, against both stores: each objection caused for real, what is forced, and who comes first."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import ModelProto

from handlers.errors import (
    AliasChanged,
    AliasPinned,
    CorruptFile,
    InvalidName,
    LambdaserveError,
    ModelNotFound,
    NothingToChange,
    OperationReused,
    PromotionRefused,
    StoreUnavailable,
    VersionNotFound,
    VersionRetired,
)
from handlers.registry.aliases import Alias, read_aliases
from handlers.registry.manifest import MANIFEST_FILE, Manifest, Variant, encode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Sink, Store
from handlers.registry.stores.folder import FolderStore
from handlers.runtime.cpu import cpu_kind
from handlers.settings import Settings
from handlers.versions.aliasing import pin, remove_alias, retire, rollback
from handlers.versions.changes import Operation
from handlers.versions.promotion import canary_checked, objections, promote_checked
from tests.aliases import point_alias
from tests.artifacts import CPU_KINDS, make_artifact
from tests.faults import FailingStore
from tests.graphs import affine, identity
from tests.published import ada, claimed, published

X = {"x": np.array([[0, 1, 2]], np.float32)}
Edit = Callable[[Manifest], Manifest]


def made(
    store: Store,
    folder: Path,
    *graphs: ModelProto,
    proven: ModelProto | None = None,
    edit: Edit | None = None,
    inputs: Sequence[dict[str, np.ndarray]] = (X,),
) -> str:
    """Publish a version of `m` with one graph for int8-static and fp32, or one for each, and return its number."""
    folder = folder / str(len(list(folder.iterdir())) if folder.exists() else 0)
    manifest = make_artifact(folder, "m", {"int8-static": graphs[0], "fp32": graphs[-1]}, inputs, proven=proven)
    if edit is not None:
        (folder / MANIFEST_FILE).write_bytes(encode_manifest(edit(manifest)))
    return published(store, folder)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def served(store: Store, folder: Path) -> Store:
    """A store with a version of `m` that is live."""
    point_alias(store, "m", "live", made(store, folder, affine()))
    return store


def promoted(store: Store, version: str, alias: str = "live", *, force: bool = False) -> tuple[str, ...]:
    """Promote, and return what it was forced in spite of."""
    return promote_checked(store, "m", alias, version, ada(), settings(store), force=force).forced


def settings(store: Store) -> Settings:
    return Settings(store.url)


def refused(store: Store, version: str, alias: str = "live") -> tuple[str, ...]:
    before = read_aliases(store, "m")
    with pytest.raises(PromotionRefused, match=f"alias '{alias}' of 'm': version {version} is objected to") as caught:
        promoted(store, version, alias)
    assert read_aliases(store, "m") == before
    assert str(caught.value).splitlines()[1:] == [f"- {sentence}" for sentence in caught.value.objections]
    return caught.value.objections


def failing(*names: str) -> Edit:
    """Let the gates of variants have failed."""

    def edit(manifest: Manifest) -> Manifest:
        def judged(variant: Variant) -> Variant:
            if variant.name not in names:
                return variant
            gate = msgspec.structs.replace(variant.gate, score=0.5, loss=0.5, passed=False)
            return msgspec.structs.replace(variant, gate=gate)

        return msgspec.structs.replace(manifest, variants=tuple(map(judged, manifest.variants)))

    return edit


def test_a_version_with_nothing_against_it_is_promoted_as_it_would_be_by_hand(served: Store, folder: Path) -> None:
    version = made(served, folder, affine(3))

    change = promote_checked(served, "m", "live", version, ada("better", "a" * 32), settings(served))

    assert (change.after, change.reason, change.forced) == (Alias(version=version), "better", ())
    assert read_aliases(served, "m")[0].history[-1] == change


def test_the_first_version_is_compared_with_nothing(store: Store, folder: Path) -> None:
    assert promoted(store, made(store, folder, affine())) == ()
    assert promoted(store, "1", "other") == ()


def test_a_failed_gate_of_a_variant_that_would_be_served_is_an_objection(served: Store, folder: Path) -> None:
    version = made(served, folder, affine(), edit=failing("int8-static", "fp32"))

    assert refused(served, version) == tuple(
        f"variant '{name}': accuracy 0.5, 50.00% below PyTorch's 1, expected at most 1.00% below; its gate failed"
        for name in ("int8-static", "fp32")
    )


def test_a_failed_gate_counts_where_the_variant_is_chosen_for_some_cpu(served: Store, folder: Path) -> None:
    def choose_fp32(*cpus: str) -> Edit:
        def edit(manifest: Manifest) -> Manifest:
            fp32 = msgspec.structs.replace(manifest.chosen["x86_64"], variant="fp32")
            chosen = {cpu: fp32 if cpu in cpus else choice for cpu, choice in manifest.chosen.items()}
            return failing("int8-static")(msgspec.structs.replace(manifest, chosen=chosen))

        return edit

    others = [cpu for cpu in CPU_KINDS if cpu != cpu_kind()]
    elsewhere = made(served, folder, affine(), edit=choose_fp32(cpu_kind(), others[0]))
    nowhere = made(served, folder, affine(), edit=choose_fp32(*CPU_KINDS))

    assert [sentence.partition(":")[0] for sentence in refused(served, elsewhere)] == ["variant 'int8-static'"]
    assert promoted(served, nowhere) == ()


def test_goldens_that_the_chosen_variant_does_not_answer_are_an_objection_though_fp32_does(
    served: Store, folder: Path
) -> None:
    version = made(served, folder, affine(5), affine())

    [sentence] = refused(served, version)

    wrong = "int8-static: output 'y' is 6 from its goldens, expected at most 0"
    assert sentence == (
        f"variant 'int8-static': passed over on this CPU ({wrong}), expected the chosen one to be served"
    )


def test_goldens_that_nothing_answers_are_an_objection(served: Store, folder: Path) -> None:
    version = made(served, folder, affine(5), proven=affine())

    passed_over, none_left = refused(served, version)

    assert "variant 'int8-static': passed over" in passed_over
    assert "none of the variants int8-static, fp32 answers its goldens on this machine" in none_left


def test_shapes_that_do_not_fit_are_objections_together_with_all_others(served: Store, folder: Path) -> None:
    wide = {"x": np.zeros((1, 4), np.float32)}
    version = made(served, folder, identity("FP32", ["batch", 4]), inputs=[wide], edit=failing("fp32"))

    gate, shape_in, shape_out = refused(served, version)

    assert gate.startswith("variant 'fp32': accuracy 0.5")
    assert shape_in == "input 'x': FP32 [-1, 4], expected what fits in the place of FP32 [-1, 3]; axis 1 took 3"
    assert shape_out.startswith("output 'y': FP32 [-1, 4]")


def test_a_new_alias_is_compared_with_what_is_live_and_another_with_what_it_names(served: Store, folder: Path) -> None:
    wide = {"x": np.zeros((1, 4), np.float32)}
    versions = [made(served, folder, identity("FP32", ["batch", 4]), inputs=[wide]) for _ in range(2)]

    assert "input 'x'" in refused(served, versions[0], "wide")[0]
    point_alias(served, "m", "wide", versions[0])
    assert promoted(served, versions[1], "wide") == ()


def test_an_alias_that_was_removed_is_no_way_round_the_comparison(served: Store, folder: Path) -> None:
    wide = {"x": np.zeros((1, 4), np.float32)}
    version = made(served, folder, identity("FP32", ["batch", 4]), inputs=[wide])
    remove_alias(served, "m", "live", ada())

    for alias in ("live", "new"):
        assert "input 'x'" in refused(served, version, alias)[0]


def test_what_does_not_fit_into_memory_is_an_objection(served: Store, folder: Path) -> None:
    def huge(manifest: Manifest) -> Manifest:
        variants = [msgspec.structs.replace(variant, peak_memory_bytes=1 << 40) for variant in manifest.variants]
        return msgspec.structs.replace(manifest, variants=tuple(variants))

    version = made(served, folder, affine(), edit=huge)

    found = objections(served, "m", version, None, Settings(served.url, model_memory_bytes=1 << 30))

    assert (
        found[-1] == f"model 'm' version {version}: 1,048,576 MB, expected at most 1,024 MB, which models may take here"
    )


def test_a_file_that_is_not_what_was_published_is_an_objection(served: Store, folder: Path) -> None:
    version = made(served, folder, affine())
    key = file_key("m", version, "int8-static.onnx")
    served.replace(key, b"x" * len(served.read(key).data), served.read(key).etag)

    [sentence] = refused(served, version)

    assert re.match(f"{key}: \\d+ bytes with sha256 [0-9a-f]{{64}}, expected", sentence)


def test_a_present_version_that_cannot_be_read_does_not_keep_it_from_being_replaced_but_by_force(
    served: Store, folder: Path
) -> None:
    version = made(served, folder, affine())
    served.delete(file_key("m", "1", MANIFEST_FILE))

    [sentence] = refused(served, version)

    assert sentence.startswith("version 1, which is named at present: models/m/versions/1/manifest.json: missing")
    assert promoted(served, version, force=True) == (sentence,)


def test_what_was_forced_is_in_the_history(served: Store, folder: Path) -> None:
    version = made(served, folder, affine(5), proven=affine())
    objected = refused(served, version)

    assert promoted(served, version, force=True) == objected
    assert read_aliases(served, "m")[0].history[-1].forced == objected


def test_force_leaves_no_trace_where_nothing_stood_against_it(served: Store, folder: Path) -> None:
    assert promoted(served, made(served, folder, affine()), force=True) == ()


def test_a_canary_goes_through_the_same_gate(served: Store, folder: Path) -> None:
    good, bad = made(served, folder, affine(3)), made(served, folder, affine(5), proven=affine())

    def tried(version: str, *, force: bool = False) -> tuple[str, ...]:
        return canary_checked(served, "m", "live", version, 10, ada(), settings(served), force=force).forced

    assert tried(good) == ()
    assert read_aliases(served, "m")[0].aliases["live"] == Alias(version="1", canary=good, weight=10)
    with pytest.raises(PromotionRefused, match="int8-static"):
        tried(bad)
    assert "int8-static" in tried(bad, force=True)[0]


def test_a_rollback_is_not_gated(served: Store, folder: Path) -> None:
    promoted(served, made(served, folder, affine(3)))
    served.delete(file_key("m", "1", "fp32.onnx"))

    assert rollback(served, "m", "live", ada()).after == Alias(version="1")


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_there_whole_is_refused_forced_or_not(served: Store, *, force: bool) -> None:
    unfinished = claimed(served).version
    for version in (unfinished, "9"):
        with pytest.raises(VersionNotFound, match=f"model 'm': no version '{version}' that is complete, expected one"):
            promoted(served, version, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_what_may_not_be_named_is_refused_before_anything_is_fetched(
    served: Store, folder: Path, *, force: bool
) -> None:
    version, retired = made(served, folder, affine()), made(served, folder, affine())
    retire(served, "m", retired, ada())
    reads: list[tuple[str, str, type[LambdaserveError]]] = [
        ("live", retired, VersionRetired),
        ("live", "1", NothingToChange),
        ("12", version, InvalidName),
    ]
    only_aliases = FailingStore(served, 2, "read")  # the aliases are the first thing that is read

    for alias, asked, error in reads:
        only_aliases.calls = 0
        with pytest.raises(error):
            promoted(only_aliases, asked, alias, force=force)
    only_aliases.calls = 0
    with pytest.raises(ModelNotFound):
        canary_checked(only_aliases, "m", "none", version, 10, ada(), settings(served), force=force)
    pin(served, "m", "live", ada())
    only_aliases.calls = 0
    with pytest.raises(AliasPinned):
        promoted(only_aliases, version, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_a_manifest_that_is_not_what_was_written_is_an_error(served: Store, folder: Path, *, force: bool) -> None:
    version = made(served, folder, affine())
    key = file_key("m", version, MANIFEST_FILE)
    found = served.read(key)
    served.replace(key, found.data.replace(b'"accuracy"', b'"accurate"'), found.etag)

    with pytest.raises(CorruptFile, match=key):
        promoted(served, version, force=force)


def test_a_store_that_cannot_be_asked_is_no_objection(served: Store, folder: Path) -> None:
    version = made(served, folder, affine())

    for calls in range(2, 6):  # manifests and files
        with pytest.raises(StoreUnavailable):
            promoted(FailingStore(served, calls, "read"), version, force=True)

    assert read_aliases(served, "m")[0].aliases["live"] == Alias(version="1")


def test_an_operation_that_is_asked_for_again_is_not_checked_again(served: Store, folder: Path) -> None:
    version, other = made(served, folder, affine()), made(served, folder, affine())
    operation = Operation("ada@host", id="again")
    done = promote_checked(served, "m", "live", version, operation, settings(served))
    promoted(served, other)
    served.delete(file_key("m", version, MANIFEST_FILE))

    assert promote_checked(served, "m", "live", version, operation, settings(served)) == done
    with pytest.raises(OperationReused):
        promote_checked(served, "m", "live", other, operation, settings(served))


class Meddling(FolderStore):
    """A folder in which somebody promotes something while files of a version are looked at."""

    version: str | None = None

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        if self.version is not None:
            version, self.version = self.version, None
            point_alias(self, "m", "live", version, "hotfix")
        return super().copy_range(key, offset, length, sink)


def test_who_looked_at_a_version_while_the_alias_was_moved_is_told_by_whom(folder: Path, tmp_path: Path) -> None:
    store = Meddling.from_url((tmp_path / "store").as_uri())
    point_alias(store, "m", "live", made(store, folder, affine()))
    mine, theirs = made(store, folder, affine()), made(store, folder, affine())
    assert isinstance(store, Meddling)

    store.version = theirs
    with pytest.raises(AliasChanged, match=f"tester@host at .*: promote alias 'live' from 1 to {theirs}"):
        promoted(store, mine, force=True)
    store.version = "1"
    with pytest.raises(AliasChanged, match=f"tester@host at .*: promote alias 'live' from {theirs} to 1"):
        canary_checked(store, "m", "live", mine, 10, ada(), settings(store))

    assert store.version is None
    assert read_aliases(store, "m")[0].aliases["live"] == Alias(version="1")


def test_scratch_files_are_gone_afterwards(served: Store, folder: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    good, bad = made(served, folder, affine()), made(served, folder, affine(5), proven=affine())

    for version in (good, bad):
        objections(served, "m", version, None, Settings(served.url, scratch_dir=scratch))

    assert list(scratch.iterdir()) == []
