"""Names of what lies in a run folder, as far as more than one module must know them.

config.gin  versions.json  mixture.json  log.txt     written at the start (`facts.py`)
start.json     written at the first start (`start_record.py`)
parameters.txt  metrics.jsonl  tensorboard/  wall_time.json  profile/  checkpoints/     written by training
eval/  report.*  training.html     written by evaluation and at the end
"""

CONFIG = "config.gin"
VOCABULARY = "vocabulary.model"
TRAINING_PAGE = "training.html"
