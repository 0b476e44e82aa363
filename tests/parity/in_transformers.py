"""What transformers makes of a folder; only where the hf extra is installed."""

import contextlib

import numpy as np
import torch
import transformers

from . import families

_CLASSES = {
    "t5": transformers.T5ForConditionalGeneration,
    "mt5": transformers.MT5ForConditionalGeneration,
    "umt5": transformers.UMT5ForConditionalGeneration,
}


def load(folder, family, dtype="float32"):
    """The model of a folder, as its users load it."""
    kind = families.TYPES.get(family, "t5")
    model = _CLASSES[kind].from_pretrained(folder, dtype=getattr(torch, dtype))
    if kind == "umt5":
        # transformers 5.23 scales umT5's logits by 1/sqrt(d_model), tied or not; released models are not.
        model.config.tie_word_embeddings = False
    return model.eval()


def logits(model, examples):
    """Logits of every target, float32."""
    inputs = torch.from_numpy(examples["encoder_input_tokens"]).long()
    with torch.no_grad():
        found = model(
            input_ids=inputs,
            attention_mask=(inputs > 0).long(),
            decoder_input_ids=torch.from_numpy(examples["decoder_input_tokens"]).long(),
        )
    return found.logits.float().numpy()


def outputs(model, examples):
    """The outputs of `families.ours`, and `default_beam_scores`, those of an unchanged beam search."""
    inputs = torch.from_numpy(examples["encoder_input_tokens"]).long()
    targets = torch.from_numpy(examples["decoder_target_tokens"]).long()
    real = targets > 0
    given = {"input_ids": inputs, "attention_mask": (inputs > 0).long()}
    with torch.no_grad():
        found = model(**given, labels=targets.masked_fill(~real, -100))
        log_probs = torch.log_softmax(found.logits.float(), dim=-1)
        own = torch.gather(log_probs, -1, targets[..., None])[..., 0]
        greedy = model.generate(
            **given, max_new_tokens=families.DECODE_LENGTH, num_beams=1, do_sample=False
        )
        _, default_scores = _beam_search(model, given)
        with _all_candidates(model):
            beams, scores = _beam_search(model, given)
    return {
        "logits": found.logits.float().numpy(),
        "loss": np.float32(found.loss.float().item()),
        "scores": (own * real).sum(-1).numpy(),
        "greedy": _tokens(greedy),
        "beam": beams,
        "beam_scores": scores,
        "default_beam_scores": default_scores,
    }


def _beam_search(model, given):
    """With length_penalty 0 and early_stopping False it compares log-probabilities, as ours does with alpha 0."""
    found = model.generate(
        **given,
        max_new_tokens=families.DECODE_LENGTH,
        num_beams=families.NUM_BEAMS,
        num_return_sequences=families.NUM_BEAMS,
        length_penalty=0.0,
        early_stopping=False,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    shape = (len(given["input_ids"]), families.NUM_BEAMS)
    tokens = _tokens(found.sequences).reshape(*shape, -1)
    return tokens, found.sequences_scores.float().numpy().reshape(shape)


@contextlib.contextmanager
def _all_candidates(model):
    """Lets a hypothesis end wherever it ranks in a step, as t5x does.

    transformers looks at the first `num_beams` of the 2 * num_beams candidates only, and so loses hypotheses, even the
    best one. No setting changes that.
    """
    original = model._update_finished_beams

    def update(**arguments):
        mask = torch.ones_like(arguments["top_num_beam_mask"])
        return original(**arguments | {"top_num_beam_mask": mask})

    model._update_finished_beams = update
    try:
        yield
    finally:
        del model._update_finished_beams


def _tokens(sequences):
    """Without the start token, with zeros after the EOS up to the longest that is allowed."""
    tokens = sequences[:, 1:].numpy().astype(np.int32)
    ended = np.cumsum(tokens == families.EOS, axis=-1) - (tokens == families.EOS) > 0
    tokens = np.where(ended, 0, tokens)
    return np.pad(tokens, ((0, 0), (0, families.DECODE_LENGTH - tokens.shape[1])))
