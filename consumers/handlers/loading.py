"""HANDLERS=module:name, found and checked."""

import importlib

from consumers.handlers.registry import Handlers
from consumers.handlers.verbs import HandlersError


def load(name: str, builtin: Handlers) -> Handlers:
    """The built-in handlers, joined with those `module:name` names. Raises HandlersError with what is wrong with it."""
    if not name:
        return builtin
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise HandlersError(f"HANDLERS={name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, Handlers):
        raise HandlersError(f"HANDLERS={name!r} is a {type(found).__name__}, not consumers.handlers.Handlers")
    return builtin.joined_with(found)
