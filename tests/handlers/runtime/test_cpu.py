import platform
from pathlib import Path

import pytest

from handlers.runtime.cpu import cpu_kind

ARM = platform.machine().lower() in ("arm64", "aarch64")


@pytest.mark.skipif(ARM, reason="what the flags say counts on x86_64 only")
@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu sse4_2 avx2", "x86_64"),
        ("fpu avx2 avx512f avx512_vnni", "x86_64-vnni"),
        ("fpu avx2 avx_vnni", "x86_64-vnni"),
        ("fpu avx_vnni_int8", "x86_64"),
    ],
)
def test_the_kind_follows_from_the_flags(tmp_path: Path, flags: str, kind: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: avx_vnni\nflags\t\t: {flags}\nbugs\t\t: none\n")

    assert cpu_kind(cpuinfo) == kind


@pytest.mark.skipif(ARM, reason="as above")
def test_where_the_flags_cannot_be_read_vnni_is_not_assumed(tmp_path: Path) -> None:
    assert cpu_kind(tmp_path / "absent") == "x86_64"


def test_this_machine_is_of_a_kind() -> None:
    assert cpu_kind() in (("arm64",) if ARM else ("x86_64", "x86_64-vnni"))
