"""What a process asks of its machine: whole files or none, the allocator, the other processes of a run, errors in words.

`atomic.py` writes files, `places.py` says why a place cannot be written, `processes.py` joins the processes of a run and
`process_watch.py` watches them, `error_text.py` turns an error into a sentence and an exit status, `traces.py` finds the
user's line that it came through, `interrupts.py` says what Ctrl-C broke, `workers.py` runs jobs in processes that die with
theirs, `allocator.py` keeps freed memory, `shipped.py` says where the gin files and task modules lie that come with
flantune.
"""
