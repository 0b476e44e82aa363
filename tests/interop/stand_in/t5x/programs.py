"""The functions of t5x's programs, which gin files find in `__main__`: each returns its arguments."""


def train(
    *,
    model,
    model_dir,
    train_dataset_cfg,
    train_eval_dataset_cfg,
    infer_eval_dataset_cfg,
    checkpoint_cfg,
    partitioner,
    trainer_cls,
    total_steps,
    eval_steps,
    eval_period,
    random_seed,
    inference_evaluator_cls=None,
    use_orbax=True,
):
    return dict(locals())


def evaluate(
    *,
    model,
    dataset_cfg,
    restore_checkpoint_cfg,
    partitioner,
    output_dir,
    inference_evaluator_cls=None,
):
    return dict(locals())


def infer(
    *,
    mode,
    model,
    dataset_cfg,
    restore_checkpoint_cfg,
    partitioner,
    output_dir,
    checkpoint_period,
    shard_id=0,
    num_shards=1,
    merge_chunked_results=True,
    checkpoint_ds_iter=True,
):
    return dict(locals())
