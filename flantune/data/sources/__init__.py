"""Where a task's rows come from: files, TFDS, memory. Implementations of `task.Source`; nothing is read when one is made.

    sources.Tsv(train="cot/gsm8k.tsv[200:]", validation="cot/gsm8k.tsv[:200]", columns=("question", "answer"))
    sources.Chat(train="chats.jsonl.gz", turns="all")
    sources.Tfds("bool_q:1.0.0", train="train", validation="validation[:200]")
    sources.Grouped(sources.Jsonl(all="a.jsonl"), by="question", collect="answer", train="all[:90%]", test="all[90%:]")

A split names a file below the data directory, or several, joined in order; `[start:stop]` takes some of a file's rows,
as a Python slice. Files whose names end in .gz, .bz2, .xz or .zst are decompressed. `plain.py` has the sources that are
plain files, and each other source a file of its own; `files.py` has what all files share, `formats.py` the parsers. Read
`data/store/prepare.py` next, which reads each source once.
"""

from flantune.data.sources.any_source import records
from flantune.data.sources.by_user import ByUser
from flantune.data.sources.chat import Chat
from flantune.data.sources.grouped import Grouped
from flantune.data.sources.hugging_face import HuggingFace
from flantune.data.sources.in_memory import InMemory
from flantune.data.sources.instructions import Instructions
from flantune.data.sources.plain import Csv, Json, Jsonl, Lines, NaturalInstructions, Tsv, Xml
from flantune.data.sources.tfds import Tfds

__all__ = [
    "ByUser",
    "Chat",
    "Csv",
    "Grouped",
    "HuggingFace",
    "InMemory",
    "Instructions",
    "Json",
    "Jsonl",
    "Lines",
    "NaturalInstructions",
    "Tfds",
    "Tsv",
    "Xml",
    "records",
]
