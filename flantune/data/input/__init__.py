"""From prepared rows to batches, in this order: `schedule.py` mixes, `prompts.py` renders, `tokenize.py` makes ids,
`packing.py` packs, `blocks.py` does all of it for a block of examples and `pipeline.py` for a process's lanes.

`loading.py` is what a run calls: configs to a mixture that is bound to its rows. `measure.py` measures lengths,
`loss_weights.py` weighs targets, `mixture_vocabulary.py` trains a vocabulary on a mixture.
"""
