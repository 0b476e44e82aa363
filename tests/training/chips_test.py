import pytest

from flantune.training import chips


@pytest.mark.parametrize(
    ("name", "tera_flops", "gib", "gb_per_s", "devices_per_chip"),
    [
        # Of a whole chip, as its maker states them; TPU memory less what the compiler keeps for itself.
        ("v3", 123, 32, 900, 2),
        ("v4", 275, 32, 1200, 1),
        ("v5e", 197, 16, 819, 1),
        ("v5p", 459, 96, 2765, 1),
        ("v6e", 918, 32, 1638, 1),
        ("tpu7x", 2307, 192, 7380, 2),
        ("a100", 312, 74.5, 2039, 1),
        ("h100", 989, 74.5, 3350, 1),
        ("h200", 989, 131.3, 4800, 1),
    ],
)
def test_devices_of_a_chip_add_up_to_it(name, tera_flops, gib, gb_per_s, devices_per_chip):
    chip = chips.CHIPS[name]
    assert chip.devices_per_chip == devices_per_chip
    assert chip.peak_flops * devices_per_chip == tera_flops * 1e12
    assert 0.95 * gib <= chip.hbm_bytes * devices_per_chip / 2**30 <= gib + 0.1
    assert chip.hbm_bytes_per_s * devices_per_chip == pytest.approx(gb_per_s * 1e9, rel=0.03)


def test_a_device_finds_its_chip():
    assert chips.of_device_kind("TPU v5 lite") is chips.CHIPS["v5e"]
    assert chips.of_device_kind("TPU v5") is chips.CHIPS["v5p"]
    assert chips.of_device_kind("NVIDIA H100 80GB HBM3") is chips.CHIPS["h100"]
    assert chips.of_device_kind("cpu") is None


def test_names_and_kinds_are_unique():
    kinds = [kind for chip in chips.CHIPS.values() for kind in chip.device_kinds]
    assert len(set(kinds)) == len(kinds)
    assert all(name == chip.name for name, chip in chips.CHIPS.items())
