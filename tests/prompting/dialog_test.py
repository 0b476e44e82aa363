"""Dialogs: turns with speakers, in many styles, and who speaks next."""

import pytest

from flantune import prompting
from flantune.prompting import choice, dialog

TURNS = ("Hi!", "Hello.", "Who are you?")
PLAIN = dialog.Style("Chat:", "{speaker}: {text}", ("User", "Bot"))
CHAT = prompting.Template(inputs="{dialog}\n{next_speaker}:", kind="dialog")


def render(template, fields, example="0"):
    return prompting.render(
        templates=(template,),
        usable=(0,),
        fields=fields,
        constants={},
        answer_choices=None,
        setting=prompting.PromptSetting(),
        chooser=choice.Chooser(0, 0, example),
    )


def test_two_speakers_alternate():
    assert dialog.show(TURNS, (), PLAIN) == (
        "Chat:\nUser: Hi!\nBot: Hello.\nUser: Who are you?",
        "Bot",
    )


def test_roles_say_who_speaks():
    text, next_speaker = dialog.show(("Hi!", "You there?"), ("user", "user"), PLAIN)
    assert text == "Chat:\nUser: Hi!\nUser: You there?"
    assert next_speaker == "Bot"


def test_a_third_speaker_is_numbered():
    text, _ = dialog.show(TURNS, ("a", "b", "c"), PLAIN)
    assert text.endswith("Bot 2: Who are you?")


def test_styles_vary_and_every_turn_is_shown():
    seen = set()
    for example in map(str, range(400)):
        prompt = render(CHAT, {"turns": list(TURNS), "answer": "A bot."}, example)
        assert all(turn in prompt.inputs for turn in TURNS)
        assert prompt.targets == "A bot."
        assert prompt.dialog_style.speakers[1] in prompt.inputs.rpartition("\n")[2]
        seen.add(prompt.dialog_style)
    assert len({style.header for style in seen}) >= 12
    assert len({style.item for style in seen}) >= 15
    assert len({style.speakers for style in seen}) >= 12


def test_what_a_copier_would_say_are_the_turns():
    prompt = render(CHAT, {"turns": list(TURNS), "answer": "A bot."})
    assert prompt.input_text == ", ".join(TURNS)


def test_an_inversion_may_ask_for_what_a_dialog_was_about():
    template = prompting.Template(
        inputs="{dialog}\nWhich text is this about?", targets="{passage}", kind="inversion"
    )
    prompt = render(template, {"turns": list(TURNS), "passage": "Bots.", "answer": "x"})
    assert (prompt.targets, prompt.references, prompt.candidates) == ("Bots.", ("Bots.",), ())


def test_the_kind_dialog_shows_a_dialog():
    with pytest.raises(ValueError, match=r"\{dialog\}"):
        prompting.Template(inputs="{text}", kind="dialog")
