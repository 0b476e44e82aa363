"""Which file stands in the way of the package gin-config, where `gin_files.py` cannot import it."""

import importlib.machinery
import pathlib


def hidden_by() -> pathlib.Path | None:
    """The file that Python takes for `gin` instead: a plain file of that name, or an __init__ in a folder of run files; else None."""
    spec = importlib.machinery.PathFinder.find_spec("gin")
    if spec is None or spec.origin is None:
        return None
    file = pathlib.Path(spec.origin)
    return None if (file.parent / "config.py").is_file() and file.name == "__init__.py" else file


def import_error(error: Exception) -> Exception:
    """What to raise for an import of gin that failed: a sentence that names the file in the way, or the error itself."""
    file = hidden_by()
    if file is None:
        return error
    return ValueError(
        f"{file} hides the package gin-config, with which flantune reads run files: rename it, or run from another folder. "
        "A folder gin/ of run files holds no Python file."
    )
