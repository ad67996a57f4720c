"""Loading the handlers that HANDLERS=module:name names."""

import importlib
import sys
import traceback
from pathlib import Path

from consumers.handlers.exceptions import HandlersError
from consumers.handlers.registry import Handlers


def load(name: str, builtin: Handlers, folder: str) -> Handlers:
    """Return the built-in handlers joined with those that `module:name` names.

    The module may be in `folder`, which is searched after the installed ones. Raise HandlersError.
    """
    if not name:
        return builtin
    if folder:
        sys.path.append(str(Path(folder).expanduser().resolve()))
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        raise HandlersError(f"HANDLERS={name!r} must be module:name, such as credits:handlers")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:
        searched = f" (HANDLERS_FOLDER={folder})" if folder else ""
        raise HandlersError(f"HANDLERS={name!r} cannot be loaded{searched}: {_describe(error)}") from error
    if not isinstance(found, Handlers):
        raise HandlersError(f"HANDLERS={name!r} is a {type(found).__name__}, not consumers.handlers.Handlers")
    return builtin.joined_with(found)


def _describe(error: BaseException) -> str:
    """Return the error, and the line of the user's code that raised it, or that Python cannot read."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
    ]
    where = f" ({lines[-1].filename}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"
