"""Both directions of each pair, natural names of languages, splits that do not overlap."""

import re

import pytest

from flantune import metrics
from tasks import translation

from . import collection

TASKS = {task.name.removeprefix("flan2021:"): task for task in translation.TASKS}


def languages_of(task):
    fields = [task.to_fields(row) for row in collection.example_rows()[task.name]]
    return {(one["source_language"], one["target_language"]) for one in fields}


@pytest.mark.parametrize(
    ("key", "language"),
    [
        ("para_crawl_enes", "Spanish"),
        ("wmt14_enfr", "French"),
        ("wmt16_translate_csen", "Czech"),
        ("wmt16_translate_deen", "German"),
        ("wmt16_translate_fien", "Finnish"),
        ("wmt16_translate_roen", "Romanian"),
        ("wmt16_translate_ruen", "Russian"),
        ("wmt16_translate_tren", "Turkish"),
    ],
)
def test_a_pair_is_translated_in_both_directions(key, language):
    assert languages_of(TASKS[key]) == {("English", language), (language, "English")}
    assert TASKS[key].metrics == (metrics.bleu,)


def test_the_texts_go_with_the_names_of_their_languages():
    into, out_of, _ = (
        TASKS["para_crawl_enes"].to_fields(row)
        for row in collection.example_rows()["flan2021:para_crawl_enes"]
    )
    assert into == {
        "text": "Nuestra tienda de Kelling abre todos los días.",
        "source_language": "Spanish",
        "target_language": "English",
        "answer": "Our shop in Kelling is open every day.",
    }
    assert out_of == {
        "text": "Click on the map to see the harbour.",
        "source_language": "English",
        "target_language": "Spanish",
        "answer": "Haga clic en el mapa para ver el puerto.",
    }


def test_about_half_of_the_rows_go_each_way_and_empty_ones_are_dropped():
    to_fields = TASKS["wmt16_translate_tren"].to_fields
    rows = [to_fields({"en": f"Line {number}.", "tr": "Satır."}) for number in range(1000)]
    assert 450 < sum(fields["source_language"] == "English" for fields in rows) < 550
    assert to_fields({"en": " ", "tr": "Satır."}) is None
    assert to_fields({"en": "Line.", "tr": ""}) is None


def test_wordings_show_the_language_to_write_and_no_article_before_a_name():
    for task in TASKS.values():
        for template in task.templates:
            asked = "source" if template.kind == "inversion" else "target"
            assert f"{{{asked}_language}}" in template.inputs
            assert not re.search(r"\ban? \{", template.inputs)  # "a English"
