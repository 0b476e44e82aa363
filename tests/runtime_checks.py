"""`install`: every signature of flantune is checked at each call, shapes of arrays among them. Call it before any import of it."""

from collections.abc import Iterator
import pathlib
import re

import beartype
from beartype import claw
import jaxtyping

# Where nearly all calls are: texts and rows, few arrays.
_PLAIN = ("flantune.audit", "flantune.data", "flantune.prompting", "flantune.registry")
_ROOT = pathlib.Path(__file__).resolve().parent.parent


def install() -> None:
    """Checks the modules of flantune that are imported from now on.

    jaxtyping compares axes within a call, for which it binds the arguments of every call anew: several times the price of
    beartype's own checks, which do for most modules of `_PLAIN`. Those cannot look up a type that is not imported, and
    come before what a dataclass says of its fields itself.
    """
    claw.beartype_packages(_PLAIN, conf=beartype.BeartypeConf(claw_is_pep526=False))
    jaxtyping.install_import_hook(list(_modules_for_jaxtyping()), "beartype.beartype")


def _modules_for_jaxtyping() -> Iterator[str]:
    """Other modules, and those with arrays, with types imported for type checkers only, or with words of their own on types."""
    needed = re.compile(r"from jaxtyping import|TYPE_CHECKING|raise TypeError")
    for path in sorted((_ROOT / "flantune").rglob("*.py")):
        name = ".".join(path.relative_to(_ROOT).with_suffix("").parts)
        if not name.startswith(_PLAIN) or needed.search(path.read_text(encoding="utf-8")):
            yield name
