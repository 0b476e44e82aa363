import pytest

from flantune.params import trees as param_trees

TREE = {
    "encoder": {"layers_0": {"query": {"kernel": 1}}, "layers_1": {"query": {"kernel": 2}}},
    "token_embedder": {"embedding": 3},
}
NAMES = [
    "encoder/layers_0/query/kernel",
    "encoder/layers_1/query/kernel",
    "token_embedder/embedding",
]


def test_leaves_are_named_by_their_path_and_make_the_tree_again():
    assert list(param_trees.leaves(TREE)) == list(zip(NAMES, (1, 2, 3), strict=True))
    assert param_trees.from_leaves(param_trees.leaves(TREE)) == TREE


def test_a_part_has_no_empty_dicts_and_joins_to_the_whole():
    own = param_trees.part(TREE, [NAMES[1]])
    assert own == {"encoder": {"layers_1": {"query": {"kernel": 2}}}}
    rest = param_trees.part(TREE, [NAMES[0], NAMES[2]])
    assert param_trees.joined(own, rest) == TREE
    assert param_trees.joined(TREE, {"token_embedder": {"embedding": 4}})["token_embedder"] == {
        "embedding": 4
    }


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("kernel", NAMES[:2]),
        ("*/query/*", NAMES[:2]),
        ("encoder/layers/*", NAMES[:2]),  # every layer
        ("encoder/layers_1/*", NAMES[1:2]),
        ("*embed*", NAMES[2:]),
        ("*/*", NAMES),
    ],
)
def test_a_pattern_matches_the_whole_name_or_without_a_slash_its_last_part(pattern, chosen):
    assert param_trees.select(NAMES, [pattern], field="F") == frozenset(chosen)


def test_a_pattern_that_matches_nothing_names_the_closest():
    with pytest.raises(
        ValueError, match="F holds 'encodr/layers/query/kernel', which matches nothing"
    ) as error:
        param_trees.select(NAMES, ["kernel", "encodr/layers/query/kernel"], field="F")
    assert "'encoder/layers/query/kernel'" in str(error.value)
