import sys

import pytest

from flantune import prompting, testing
from flantune.audit.lint import check as lint, findings as lint_findings
from flantune.data import catalog as catalog_lib
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
GOOD = testing.make_task(
    "t:good",
    {"train": [{"text": f"{i} of ten", "answer": f"{i * i}"} for i in range(20)]},
    templates=[Template(inputs="Square: {text}\nAnswer:")],
)
BAD = testing.make_task(
    "t:bad",
    {"train": [{"text": f"{i} of ten", "answer": "x"} for i in range(20)]},
    templates=[
        Template(inputs="Read the the {text}\nAnswer:"),
        Template(inputs="{text}", targets="Then,so {answer}", kind="direct", group="other"),
    ],
)


def findings(tmp_path, *, allow=None, splits=None, prepare=(GOOD, BAD), **options):
    store = testing.prepare(prepare, tmp_path / "store")
    with testing.task_module("lint_tasks", [GOOD, BAD]):
        if allow is not None:
            sys.modules["lint_tasks"].LINT_ALLOW = allow
        catalog = catalog_lib.load(["lint_tasks"], store, tmp_path)
        return lint.lint(
            catalog,
            store,
            BYTES,
            splits=splits or {"t:good": "train", "t:bad": "train"},
            **options,
        )


def test_rows_wordings_and_tokens_are_checked(tmp_path):
    found = findings(tmp_path)
    assert {one.task for one in found} == {"t:bad"}
    assert [(one.code, one.template, one.severity) for one in found] == [
        ("single_label", None, "error"),
        ("typo", 0, "warning"),
        ("typo", 1, "warning"),
    ]
    assert found[0].as_json() == {
        "code": "single_label",
        "severity": "error",
        "task": "t:bad",
        "template": None,
        "message": "All 20 rows have the answer 'x'.",
        "fix": "Leave the task out, or read rows with other answers.",
        "allowed": None,
    }


def test_a_module_allows_codes_with_a_reason(tmp_path):
    found = findings(tmp_path, allow={"t:*": {"single_label": "it is a test"}})
    assert [one.allowed for one in found] == ["it is a test", None, None]


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        ({"t:bda": {"typo": "why"}}, r"lint_tasks.LINT_ALLOW names the task 't:bda'.*'t:bad'"),
        ({"t:bad": {"tipo": "why"}}, r"lint_tasks.LINT_ALLOW allows 'tipo'.*'typo'"),
    ],
)
def test_what_is_allowed_must_exist(tmp_path, allow, message):
    with pytest.raises(KeyError, match=message):
        findings(tmp_path, allow=allow)


def test_boundaries_of_exemplars_are_checked_in_the_settings_that_are_used(tmp_path):
    same = prompting.Separators(x_y_delimiter=" ", example_separator=" ")
    settings = {
        "one": prompting.PromptSetting(),
        "few": prompting.PromptSetting(shots=2, separators=(same,)),
    }

    def codes(*names):
        used = {"t:bad": [settings[name] for name in names]}
        found = findings(tmp_path, splits={"t:bad": "train"}, settings=used)
        return [one.code for one in found if "boundary" in one.code]

    assert codes("one") == []
    assert set(codes("few")) == {"lost_boundary"}
    assert codes("one", "few") == codes("few")


def test_without_rows_the_templates_are_still_checked(tmp_path):
    found = findings(tmp_path, prepare=(GOOD,), splits={"t:bad": "train"})
    assert [(one.code, one.template) for one in found] == [
        ("no_rows", None),
        ("typo", 0),
        ("typo", 1),
    ]


def test_every_code_says_what_to_do():
    for code, about in lint_findings.CODES.items():
        assert about.severity in lint_findings.SEVERITIES, code
        assert about.fix.endswith("."), code
        assert not about.about.endswith("."), code
