"""Where T5's checkpoints and vocabulary are published: for messages about fields whose file is not there.

Sources: docs/models.md of https://github.com/google-research/t5x, and the files of https://huggingface.co/google. There the
LM-adapted models and T5 1.1 have their weights as pickles alone, which are not read (`interop/huggingface.py`); Flan-T5 has
safetensors. SIZE is small, base, large, xl or xxl.
"""

# Where a folder for `InitConfig.path` comes from.
CHECKPOINTS = (
    "T5 1.1 LM-adapted is to be had with: gcloud storage cp --recursive "
    "gs://t5-data/pretrained_models/t5x/t5_1_1_lm100k_SIZE/checkpoint_1100000 . (SIZE: small, base, large, xl or xxl); "
    "Flan-T5 with: hf download google/flan-t5-SIZE --local-dir flan-t5-SIZE"
)
# Where T5's file for `DataConfig.vocabulary` comes from. It holds no sentinels.
VOCABULARY = (
    "T5's own is to be had with: gcloud storage cp "
    "gs://t5-data/vocabs/cc_all.32000/sentencepiece.model T5.model; it lacks sentinels, so name it T5.model+100"
)
