"""From text to ids: `vocabulary.py` has the vocabularies, `tokenizer_files.py` reads their files.

`data/input/mixture_vocabulary.py` trains one on a mixture.
"""
