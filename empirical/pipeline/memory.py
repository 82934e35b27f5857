"""Peak memory, and reuse of freed memory."""

import contextlib
import ctypes
import platform
import resource
import sys
from pathlib import Path

import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
# The settings of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed() -> None:
    """Have the C library of Linux keep the memory that one pass of a network frees for the next.

    Otherwise it returns up to half a gigabyte a second to the system and requests it again, page by
    page. The peak is unchanged. On other systems nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


class Peak:
    """The peak of memory since the last reset, in bytes: that of torch on a CUDA device, else of
    this process (where the system cannot reset it, since the start of the process)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        """Reset the peak to the memory in use now."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError):
            _RESET.write_text("5")

    def read(self) -> int:
        """Return the peak so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if _STATUS.is_file():
            (line,) = (x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
            return 1024 * int(line.split()[1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
