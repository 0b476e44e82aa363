"""From parameters and prompts to text, or to scores of texts.

Nothing is imported here on purpose. `decoding.py` generates tokens, `predictor.py` turns any number
of prompts into predictions, `scoring.py` scores given targets, `embedding.py` gives what the encoder makes of texts;
`batching.py` is what the last three share. `loaded_model.py` has them all for one model and its parameters, and `texts.py`
sorts out what it is given. `prompts_file.py` reads prompts and writes answers.
"""
