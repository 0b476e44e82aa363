"""From parameters and prompts to text.

Nothing is imported here on purpose. `decoding.py` generates tokens, `predictor.py` turns any number
of prompts into predictions.
"""
