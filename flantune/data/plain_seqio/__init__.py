"""Plain SeqIO tasks as members of a mixture ("seqio:NAME"): `tasks.py` prepares and reads them, `modules.py` imports the
modules that register them, `features.py` compares their vocabularies with ours.
"""
