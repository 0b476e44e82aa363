"""How much memory a process takes, on its devices and on the host."""

import resource
import sys

import jax

_RSS_UNIT = (
    1 if sys.platform == "darwin" else 1024
)  # of ru_maxrss, by the manual pages of getrusage


def used() -> dict[str, float]:
    """Bytes, by the name of the metric: in use now and at most so far, of the fullest local device, and of the host.

    A backend that does not count its memory, as a CPU's, has only the host's.
    """
    counted = [stats for device in jax.local_devices() if (stats := device.memory_stats())]
    values = {
        metric: float(max(stats[name] for stats in counted))
        for metric, name in (
            ("train/device_bytes_in_use", "bytes_in_use"),
            ("train/device_peak_bytes", "peak_bytes_in_use"),
        )
        if counted and all(name in stats for stats in counted)
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return values | {"train/host_peak_bytes": float(peak * _RSS_UNIT)}
