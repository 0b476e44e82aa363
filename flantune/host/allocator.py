"""glibc's allocator, told to keep freed memory: XLA on a CPU asks for the same buffers at every step.

By default glibc returns them to the kernel and takes them again, page by page: a third of all CPU time of a small
training run. With this, `gin/runs/quickstart.gin` trained 1.2 to 1.3 times as fast on 2 cores.
"""

import ctypes
import platform

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST_INT = 2**31 - 1
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more
_TOP_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Sets the allocator of this process; False where it is not glibc's."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = (
        (_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD),
        (_M_TRIM_THRESHOLD, _LARGEST_INT),
        (_M_TOP_PAD, _TOP_PAD),
    )
    return all(libc.mallopt(name, value) == 1 for name, value in settings)
