import pytest

from flantune.training import chips, roofline

V5E = chips.CHIPS["v5e"]


def bounds(**figures):
    given = {
        "model_flops": 4 * 197 * 10**12,
        "repeated_flops": 0,
        "memory_bytes": 0,
        "link_bytes": 0,
        "network_bytes": 0,
    }
    return roofline.roofline(V5E, 4, **(given | figures))


def test_computing_bounds_a_step_without_traffic():
    found = bounds()
    assert (found.step_s, found.bound_by, found.utilisation) == (1, "compute", 1)


def test_repeated_flops_take_time_but_do_not_count_as_used():
    found = bounds(repeated_flops=197 * 10**12)
    assert (found.step_s, found.utilisation) == (1.25, 0.8)


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        ({"memory_bytes": 2 * 819 * 10**9}, "memory"),
        ({"link_bytes": 2 * 200 * 10**9}, "links"),
        ({"network_bytes": 2 * 3125 * 10**6}, "network"),
    ],
)
def test_the_slowest_bounds_the_step(figures, name):
    found = bounds(**figures)
    assert found.bound_by == name
    assert found.step_s == pytest.approx(2)
    assert found.utilisation == pytest.approx(0.5)


def test_what_is_not_known_does_not_bound():
    found = bounds(link_bytes=None, network_bytes=None)
    assert found.bounds == {"compute": 1, "memory": 0}
