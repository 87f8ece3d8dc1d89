"""Which kind of CPU this is, as far as int8 kernels care."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers.registry.manifest import CpuKind

_CPUINFO = Path("/proc/cpuinfo")


def cpu_kind(cpuinfo: Path = _CPUINFO) -> "CpuKind":
    """Return this machine's kind: arm64, or x86_64 with or without VNNI.

    VNNI (`avx512_vnni` or `avx_vnni` among the flags that Linux lists) multiplies u8 by s8 into 32 bits; without it
    onnxruntime's kernels add pairs in 16 bits, which saturate. Where the flags cannot be read, none is assumed.
    """
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm64"
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return "x86_64"
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return "x86_64-vnni" if {"avx512_vnni", "avx_vnni"} & set(flags) else "x86_64"
