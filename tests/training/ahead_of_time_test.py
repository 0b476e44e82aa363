import re

import pytest

from flantune.training import ahead_of_time


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v5litepod-16", "no topology 'v5litepod-16'.*has the topology 'v5e:4x4'"),
        ("v4-512", "has the topology 'v4:4x8x8'"),
        ("v5r:16x16", "Did you mean 'v5e:16x16'"),
        ("h100", "Did you mean 'h100:8'|Did you mean 'h100:1'"),
        ("v6e:4by4", "Did you mean 'v6e:4x4'"),
        ("v5e:2x2x2", "A slice of v5e has 2 axes, not 3.*Did you mean 'v5e:2x2'"),
        ("v5p:4x4", "A slice of v5p has 3 axes, not 2"),
        ("h100:2x8", "A slice of h100 has 1 axis, not 2"),
        ("v5e:32x32", "1,024 chips; a slice of v5e has 1 to 256"),
        ("v5e:0x4", "0 chips"),
    ],
)
def test_a_wrong_topology_names_the_closest(name, expected):
    with pytest.raises(ValueError, match=expected):
        ahead_of_time.topology(name)


def test_a_host_of_gpus_has_no_devices_to_compile_for():
    found = ahead_of_time.topology("h100:8")
    assert (found.chip.name, found.num_devices, found.devices) == ("h100", 8, None)
    with pytest.raises(ValueError, match="--num_slices is for TPU"):
        ahead_of_time.topology("h100:8", num_slices=2)


def test_without_libtpu_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ahead_of_time.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=re.escape("'.[tpu]'")):
        ahead_of_time.topology("v5e:2x2")


def test_outputs_in_the_place_of_arguments_count_once():
    memory = ahead_of_time.Memory(arguments=100, outputs=90, aliased=80, temporaries=7, code=1)
    assert memory.total == 118
