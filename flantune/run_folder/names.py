"""Names of what lies in a run folder, as far as more than one module must know them.

config.gin  versions.json  mixture.json  trained_with.json  starts.jsonl  vocabulary.model  start.json
    written together (`commit.py`) when all checks are passed and the last checkpoint is restored; start.json at the
    first start only, vocabulary.model where the vocabulary is not of bytes
log.txt  parameters.txt  metrics.jsonl  tensorboard/  wall_time.json  profile/  checkpoints/     written by training
eval/  report.*     written by evaluation and at the end
"""

CONFIG = "config.gin"
VOCABULARY = "vocabulary.model"
