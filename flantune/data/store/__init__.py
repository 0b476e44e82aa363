"""The prepared store: `prepare.py` fills it, `reader.py` reads it, `manifest.py` says what is known of a split.

A split is prepared as a job (`split_job.py`), by a worker process (`host/workers.py`), into shards (`split_writer.py`,
`shard_writer.py`).
"""
