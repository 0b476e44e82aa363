"""The same tiny models here and in transformers: logits, loss, scores, greedy and beam search."""
