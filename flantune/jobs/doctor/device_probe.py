"""A program that starts JAX and says which devices it finds, a JSON object a line; `devices.py` runs it with a time limit."""

import json
import os

import jax
from jax._src import hardware_utils  # no public name counts TPU chips without starting them


def main() -> None:
    # First what needs no driver: the second line may never come.
    chips, _ = hardware_utils.num_available_tpu_chips_and_device_id()
    _tell(jax=jax.__version__, tpu_chips=chips)
    devices = jax.devices()
    _tell(
        backend=jax.default_backend(),
        kinds=sorted({device.device_kind for device in devices}),
        count=len(devices),
    )
    # A driver's threads may keep a process from ending, and all is said.
    os._exit(0)


def _tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
