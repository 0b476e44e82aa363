"""What triples and attributes look like as fields, and which answers a row has."""

from tasks import struct_to_text

TASKS = {task.name.removeprefix("flan2021:"): task for task in struct_to_text.TASKS}
ANSWER = {"target": "Yes.", "references": []}


def test_triples_of_dart_are_words_between_semicolons():
    row = {"tripleset": ["[TABLECONTEXT] [TITLE] Old Towns", "Elm IN_STATE  Ohio"], **ANSWER}
    fields = TASKS["dart"].to_fields(row)
    assert fields["facts"] == "table title Old Towns; Elm IN STATE Ohio"


def test_a_value_of_e2e_may_hold_commas():
    row = {"meaning_representation": "name[The Mill], near[Elm, Ohio],price range[low]", **ANSWER}
    fields = TASKS["e2e_nlg"].to_fields(row)
    assert fields["attributes"] == "name = The Mill, near = Elm, Ohio, price range = low"


def test_web_nlg_loses_underscores_and_pipes():
    row = {"input": ["Elm_City | leader | Ida_Holm", "Ida_Holm | age | 40"], **ANSWER}
    assert (
        TASKS["web_nlg_en"].to_fields(row)["facts"]
        == "Elm City, leader, Ida Holm; Ida Holm, age, 40"
    )


def test_answers_are_the_target_and_the_references_each_once():
    row = {"concepts": ["dog"], "target": "A dog.", "references": ["One dog.", "A dog.", " "]}
    assert TASKS["common_gen"].to_fields(row)["answer"] == ["A dog.", "One dog."]
    assert TASKS["common_gen"].to_fields({**row, "target": "", "references": []}) is None
    assert TASKS["common_gen"].to_fields({**row, "concepts": [" "]}) is None
