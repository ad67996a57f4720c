"""`python -m consumers check`: a digest of everything that a worker is configured with.

By it the stack notices that workers have to be replaced.
"""

import sys
from pathlib import Path

from consumers.settings import Settings
from runtime.env_file import read_env_file
from runtime.setting_names import SETTING_NAMES
from runtime.settings import ENV_FILE, settings_digest


def digest(settings: Settings, posting_rules: object, spans: object) -> str:
    """Return a digest of all settings, posting rules, the code of the handlers, and what only handlers may read.

    `posting_rules`: with the settings and credentials of the APIs that confirm events. `spans`: where spans go. The
    handlers must have been loaded.
    """
    of_handlers = {name: value for name, value in read_env_file(ENV_FILE).items() if name not in SETTING_NAMES}
    code = {str(file): file.read_bytes() for file in sorted(_handlers_code(settings))}
    return settings_digest(settings, posting_rules, spans, of_handlers, code)


def _handlers_code(settings: Settings) -> set[Path]:
    """Return the files that the handlers were loaded from, and the whole package that their module is in."""
    if not settings.handlers:
        return set()
    folder = Path(settings.handlers_folder).expanduser().resolve()
    package = settings.handlers.partition(":")[0].partition(".")[0]
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    found = {file for file in files if file.is_relative_to(folder) and "site-packages" not in file.parts}
    main_file = getattr(sys.modules.get(package), "__file__", None)
    if main_file:
        own = Path(main_file)
        found |= set(own.parent.rglob("*.py")) if own.name == "__init__.py" else {own}
    return {file for file in found if file.suffix == ".py" and file.is_file()}
