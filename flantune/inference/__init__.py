"""From parameters and prompts to text, or to scores of texts.

Nothing is imported here on purpose. `decoding.py` generates tokens, `predictor.py` turns any number
of prompts into predictions, `scoring.py` scores given targets; `batching.py` is what the last two share;
`prompts_file.py` reads prompts and writes answers.
"""
