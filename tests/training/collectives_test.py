import pytest

from flantune.training import collectives

# As the TPU compiler writes it, cut down: two loops, a fused reduce-scatter, the three forms of replica groups.
HLO = """\
HloModule jit_train_step, is_scheduled=true

%add (lhs: bf16[], rhs: bf16[]) -> bf16[] {
  %lhs = bf16[]{:T(256)} parameter(0)
  %rhs = bf16[]{:T(256)} parameter(1)
  ROOT %sum = bf16[]{:T(256)} add(%lhs, %rhs)
}

%forward_body (state: (s32[], bf16[64,512])) -> (s32[], bf16[64,512]) {
  %state = (s32[]{:T(128)}, bf16[64,512]{1,0:T(8,128)(2,1)}) parameter(0)
  %shard = bf16[1,128,384]{2,1,0:T(8,128)(2,1)} custom-call()
  %all-gather.1 = bf16[1,512,384]{2,1,0:T(8,128)(2,1)} all-gather(%shard), channel_id=1, replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, dimensions={1}, use_global_device_ids=true
  ROOT %next = (s32[]{:T(128)}, bf16[64,512]{1,0:T(8,128)(2,1)}) tuple(%index, %x)
}

%forward_condition (state.1: (s32[], bf16[64,512])) -> pred[] {
  %bound.7 = s32[]{:T(128)} constant(8)
  %state.1 = (s32[]{:T(128)}, bf16[64,512]{1,0:T(8,128)(2,1)}) parameter(0)
  %index.1 = s32[]{:T(128)} get-tuple-element(%state.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%index.1, %bound.7), direction=LT
}

%all-reduce-scatter.2 (gradient: bf16[512,384], other: f32[512]) -> (bf16[128,384], f32[128]) {
  %gradient = bf16[512,384]{1,0:T(8,128)(2,1)} parameter(0)
  %all-reduce.2 = (bf16[512,384]{1,0:T(8,128)(2,1)}, /*index=1*/f32[512]{0:T(512)}) all-reduce(%gradient, %other), channel_id=2, replica_groups=[1,4]<=[4], use_global_device_ids=true, to_apply=%add
  ROOT %slices = (bf16[128,384]{1,0:T(8,128)(2,1)}, f32[128]{0:T(128)}) tuple(%a, %b)
}

%backward_body (state.2: (s32[])) -> (s32[]) {
  %fused = (bf16[128,384]{1,0:T(8,128)(2,1)}, f32[128]{0:T(128)}) fusion(%g, %o), kind=kCustom, calls=%all-reduce-scatter.2
  ROOT %next.2 = (s32[]{:T(128)}) tuple(%index.2)
}

%backward_condition (state.3: (s32[])) -> pred[] {
  ROOT %call = pred[]{:T(512)} custom-call()
}

ENTRY %main (p0: f32[8]) -> f32[8] {
  %forward = (s32[]{:T(128)}, bf16[64,512]{1,0:T(8,128)(2,1)}) while(%start), condition=%forward_condition, body=%forward_body, metadata={op_name="jit(train_step)/encoder/while"}
  %backward = (s32[]{:T(128)}) while(%start.2), condition=%backward_condition, body=%backward_body, backend_config={"known_trip_count":{"n":"3"}}
  %norm = f32[]{:T(128)} all-reduce(%square), channel_id=3, replica_groups={{0,1},{2,3}}, to_apply=%add
  %users = bf16[512,384]{1,0:T(8,128)(2,1)} fusion(%all-gather.1, %norm), kind=kLoop, calls=%add
  ROOT %moved = f32[8]{0} collective-permute(%p0), channel_id=4, source_target_pairs={{0,1},{1,0}}
}
"""


def kinds(text, **keywords):
    traffic = collectives.count(text, **({"num_devices": 4} | keywords))
    return {one.kind: one for one in traffic.collectives}, traffic


def entry(line):
    return f"ENTRY %main (p0: f32[8]) -> f32[8] {{\n  ROOT %x = {line}\n}}\n"


def test_loops_multiply_and_each_kind_sends_its_share():
    found, traffic = kinds(HLO)
    gathered = 512 * 384 * 2
    assert (found["all-gather"].count, found["all-gather"].bytes_sent) == (8, 8 * gathered * 3 // 4)
    reduced = 512 * 384 * 2 + 512 * 4
    assert found["reduce-scatter"].count == 3
    assert found["reduce-scatter"].bytes_sent == 3 * reduced * 3 // 4
    assert (found["all-reduce"].count, found["all-reduce"].bytes_sent) == (1, 2 * 4 // 2)
    assert found["collective-permute"].bytes_sent == 8 * 4
    assert traffic.bytes_sent == sum(one.bytes_sent for one in found.values())
    assert traffic.loops_counted_once == 0
    assert [one.kind for one in traffic.collectives][:2] == ["all-gather", "reduce-scatter"]


def test_a_loop_of_unknown_length_is_counted_once_and_said():
    found, traffic = kinds(HLO.replace('"known_trip_count":{"n":"3"}', ""))
    assert found["reduce-scatter"].count == 1
    assert traffic.loops_counted_once == 1


def test_a_loop_without_collectives_needs_no_length():
    text = HLO.replace(", calls=%all-reduce-scatter.2", "").replace("known_trip_count", "other")
    assert kinds(text)[1].loops_counted_once == 0


@pytest.mark.parametrize(
    ("groups", "devices"),
    [
        ("replica_groups={}", 8),
        ("replica_groups={{0,2,4,6},{1,3,5,7}}", 4),
        ("replica_groups=[4,2]<=[8]", 2),
        ("replica_groups=[2,4]<=[4,2]T(1,0)", 4),
        ("replica_groups=mesh['a'=2,'b'=4] {'a'}", 2),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", 8),
        ("replica_groups=mesh['a'=2,'b'=4] {'b':(1)2}", 2),
    ],
)
def test_every_form_of_replica_groups(groups, devices):
    text = entry(f"f32[64]{{0}} all-gather(%p0), channel_id=1, {groups}, dimensions={{0}}")
    found, _ = kinds(text, num_devices=8)
    assert found["all-gather"].bytes_sent == 64 * 4 * (devices - 1) // devices


@pytest.mark.parametrize(
    ("line", "kind", "sent"),
    [
        # Four devices; what goes in is shown beside what comes out.
        ("(f32[16]{0}, f32[64]{0}) all-gather-start(%p0)", "all-gather", 64 * 4 * 3 // 4),
        ("f32[64]{0} all-reduce-start(%p0)", "all-reduce", 2 * 64 * 4 * 3 // 4),
        ("f32[16]{0} reduce-scatter(%p0)", "reduce-scatter", 64 * 4 * 3 // 4),
        ("(f32[64]{0}, f32[16]{0}) reduce-scatter-start(%p0)", "reduce-scatter", 64 * 4 * 3 // 4),
        ("f32[64]{0} all-to-all(%p0)", "all-to-all", 64 * 4 * 3 // 4),
        ("(f32[64]{0}, f32[64]{0}) collective-permute-start(%p0)", "collective-permute", 64 * 4),
        ("(pred[8]{0}, s8[8]{0}, f8e4m3fn[8]{0}, u16[8]{0}) all-to-all(%p0)", "all-to-all", 30),
    ],
)
def test_bytes_of_each_kind(line, kind, sent):
    found, _ = kinds(entry(f"{line}, channel_id=1, replica_groups=[1,4]<=[4]"))
    assert found == {kind: collectives.Collective(kind=kind, count=1, bytes_sent=sent)}


def test_the_end_of_an_asynchronous_one_does_not_count_again():
    text = entry("f32[64]{0} all-gather-done(%start)")
    assert kinds(text)[0] == {}


def test_what_slices_exchange_is_apart():
    # Two slices of four devices: all eight reduce, four reduce within a slice, two across.
    lines = {
        "[1,8]<=[8]": (2 * 64 * 4 * 3 // 4, 2 * 64 * 4 // 4 // 2),
        "[2,4]<=[8]": (2 * 64 * 4 * 3 // 4, 0),
        "[4,2]<=[2,4]T(1,0)": (0, 2 * 64 * 4 // 2),
    }
    for groups, (within, between) in lines.items():
        text = entry(f"f32[64]{{0}} all-reduce(%p0), channel_id=1, replica_groups={groups}")
        one = kinds(text, num_devices=8, num_slices=2)[0]["all-reduce"]
        assert (one.bytes_sent, one.network_bytes_sent) == (within, between), groups


def test_a_permutation_across_slices_passes_the_network():
    for pairs, expected in (("{{0,1},{4,5}}", (256, 0)), ("{{0,1},{3,4}}", (0, 256))):
        text = entry(f"f32[64]{{0}} collective-permute(%p0), source_target_pairs={pairs}")
        one = kinds(text, num_devices=8, num_slices=2)[0]["collective-permute"]
        assert (one.bytes_sent, one.network_bytes_sent) == expected


def test_what_hosts_exchange_for_slices_passes_the_network():
    # As libtpu writes it: all-reduce within the slice, then a device hands its share to its host.
    line = (
        "(bf16[48,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) send(%p0, %after-all), channel_id=2, is_host_transfer=true, "
        'frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",'
        '_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="KIND"}'
    )
    share = 48 * 8 * 128 * 2
    for kind, sent in (
        ("ALL_REDUCE", share * 2 * 3 // 4),
        ("REDUCE_SCATTER", share * 3 // 4),
        ("ALL_GATHER", share * 3),
        ("COLLECTIVE_PERMUTE", share),
    ):
        found, traffic = kinds(entry(line.replace("KIND", kind)), num_devices=16, num_slices=4)
        (one,) = found.values()
        assert one.kind == kind.lower().replace("_", "-")
        assert (one.count, one.bytes_sent, one.network_bytes_sent) == (1, 0, sent)
        assert traffic.network_bytes_sent == sent


def test_what_goes_to_a_host_for_another_reason_is_no_traffic():
    line = "(f32[8], u32[], token[]) send(%p0), is_host_transfer=true, channel_id=1"
    assert kinds(entry(line))[0] == {}


def test_an_all_gather_that_runs_beside_other_work_counts_where_it_starts():
    gather = (
        "  %ag = bf16[768,32128]{1,0} all-gather(%p0), channel_id=407, replica_groups=[1,4]<=[4]\n"
    )
    computations = "".join(
        f"%{name} (p0: bf16[192,32128]) -> bf16[768,32128] {{\n{gather}}}\n\n"
        for name in ("fused_computation.1", "async_collective_fusion.2", "fused_computation.3")
    )
    body = (
        "(bf16[192,32128], bf16[768,32128]) fusion(%p0), kind=kCustom, calls=%fused_computation.1\n"
        "  %step = bf16[8,8] fusion(%start), kind=kOutput, calls=%async_collective_fusion.2\n"
        "  %async-collective-done.4 = bf16[768,32128] fusion(%step), calls=%fused_computation.3"
    )
    one = kinds(computations + entry(body), num_devices=4)[0]["all-gather"]
    assert (one.count, one.bytes_sent) == (1, 768 * 32128 * 2 * 3 // 4)
