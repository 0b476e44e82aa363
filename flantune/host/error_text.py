"""What the command line makes of an error: one sentence and an exit status."""

import ast
import errno

from flantune.host import interrupts, places

USER_ERRORS = (ValueError, KeyError, TypeError, OSError)  # told in a sentence, without a traceback
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # right input, on a machine that cannot do it
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # how XLA begins, when it compiles and when it runs
_LESS_MEMORY = (
    "lower DataConfig.batch_size (in an evaluation EvalConfig.batch_size) or raise OptimizerConfig.microbatches or "
    "vocabulary_chunks, set ModelConfig.remat to 'full', or split the model over more devices with MeshConfig.fsdp; "
    "flantune compile RUN.gin --topology CHIP:SHAPE tells what fits."
)


def sentence(error: BaseException) -> str:
    """The error's message in one line; a table stays one."""
    if is_out_of_memory(error):
        return f"A device's memory is full ({_memory_text(error)}): {_LESS_MEMORY}"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{places.reason(error)}"
    text = str(error).split("\n  In call to configurable")[0]  # gin adds where it was called
    if getattr(error, "keeps_lines", False):
        return text
    if isinstance(error, KeyError) and text[:1] in ("'", '"'):
        text = str(ast.literal_eval(text))  # the text of a KeyError is the repr of its message
    return " ".join(text.split()) or type(error).__name__


def exit_status(error: BaseException) -> int:
    """Of the program, after an error that ends it."""
    if isinstance(error, KeyboardInterrupt):
        return interrupts.STATUS
    of_machine = isinstance(error, OSError) and error.errno in _NO_ROOM
    if of_machine or isinstance(error, places.PlaceError):
        return 1
    return 2 if isinstance(error, USER_ERRORS) else 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA had no room on a device; JAX is not imported to ask."""
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY in str(error)


def _memory_text(error: BaseException) -> str:
    """How much was asked for, as XLA says: its first line after the code; buffers follow in lines of their own."""
    text = str(error).partition(_OUT_OF_MEMORY)[2].lstrip(": ").split("\n")[0]
    return text.strip().rstrip(".")[:200] or "out of memory"
