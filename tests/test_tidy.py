"""Taste is a test: what belongs in one place is in that place, and what we refuse is nowhere."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from providers import PROVIDERS
from providers.base import Provider

ROOT = Path(__file__).parents[1]
ROOMS = ("contract", "runtime", "providers", "gateway", "consumers", "ledger", "operations", "sql", "stack")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.lua"))
TEXTS = sorted(
    path
    for folder in (*ROOMS, "tests", "docs", ".github", ".ci", ".")
    for path in ((ROOT / folder).glob("*") if folder == "." else (ROOT / folder).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts and path.name not in (".env", ".git")
)
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 300
README_LINES_MAX = 120
PAGE_COLUMNS_MAX = 100
PROMISED = set(
    "up down consumers status logs pending dead replay discard audit demo test lint bench prove".split()  # noqa: SIM905
)
BLOCKING_HANDLERS = ROOT / "tests" / "support" / "awkward_handlers.py"
"""Handlers that block on purpose: how a worker bears that is what is tried."""

WAIT_HELPER = ROOT / "tests" / "support" / "wait.py"

SQL = re.compile(
    r"\bSELECT\b|\bINSERT\s+INTO\b|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\b|\b(CREATE|ALTER|DROP|TRUNCATE)\s+"
    r"(TABLE|DATABASE|INDEX|SCHEMA)\b|\bON\s+CONFLICT\b"
)
REFUSED = re.compile(
    r"\bTODO\b|\bFIXME\b|\bXXX\b|unittest\.mock|from unittest import mock|pytest\.(mark\.)?(skip|xfail)"
)
REFUSED_WORDS = re.compile(
    r"\b(?:[Tt]old|[Tt]ells?|[Bb]ur(?:y|ies|ied)|[Gg]uests?|[Ww]hoever|[Ss]takes|[Pp]ark(?:ing|ed)|[Dd]esk|[Hh]ands"
    r"|[Ll]ots|[Hh]opeless|in vain|is none|are none|lies in|lie in|tired person|so many)\b"
)
"""Words that have a plain English or a field term: report, dead-letter, in flight, delay queue, handler …"""
REFUSED_WORDS_ALLOWED = re.compile(r"KEEP=told|--keep told|\"told\"|'told'|`told`")
"""The former name of an option and of a key, and the value that the workers of 0.1 write."""
WRITTEN_BEFORE = (
    "sql/migrations/0001_",
    "sql/migrations/0002_",
    "sql/migrations/0003_",
    "tests/sql/statements_before_",
)
"""What stays as it was released: applied migrations, and the statements of old workers."""
MACHINE = re.compile(r"/(root|home|Users|work|tmp)/\w|pythonhosted\.org|pypi\.org|npmjs\.org|--index-url|--extra-index")


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def texts_in(path: Path) -> Iterator[str]:
    """The string literals that are not docstrings."""
    module = tree(path)
    prose = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def test_hmac_is_imported_in_one_file() -> None:
    assert [place(path) for path in MODULES if "hmac" in imported(path)] == ["providers/signing.py"]


def test_entries_are_acknowledged_in_one_place() -> None:
    acknowledge = re.compile(r"""\.xack\w*\(|['"]XACK""", re.IGNORECASE)
    found = {place(path) for path in (*MODULES, *SCRIPTS) if acknowledge.search(path.read_text())}
    assert found
    assert not {
        name
        for name in found
        if name != "consumers/stream.py" and not name.startswith(("consumers/lua/", "operations/lua/"))
    }


def test_sql_is_in_sql_files() -> None:
    assert [(place(path), text) for path in MODULES for text in texts_in(path) if SQL.search(text)] == []


def test_the_environment_is_read_at_the_edge() -> None:
    reads = re.compile(r"\bos\.(environ|getenv|putenv)\b|from os import .*(environ|getenv)")
    found = {place(path) for path in MODULES if reads.search(path.read_text())}
    assert not {name for name in found if not name.endswith("__main__.py") and not name.startswith("stack/")}


def functions_in(path: Path) -> Iterator[tuple[str, int]]:
    """Each with its number of lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{place(path)}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_a_function_fits_on_one_screen() -> None:
    lines = dict(pair for path in (*MODULES, *TESTS) for pair in functions_in(path))
    assert {name: count for name, count in lines.items() if count > FUNCTION_LINES_MAX} == {}


def test_tests_wait_for_conditions_and_never_for_time() -> None:
    def sleeps(path: Path) -> bool:
        calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        return any(getattr(call, "attr", getattr(call, "id", "")) == "sleep" for call in calls)

    assert {place(path) for path in TESTS if sleeps(path)} <= {place(WAIT_HELPER), place(BLOCKING_HANDLERS)}


def test_no_folder_of_tests_shadows_a_room() -> None:
    assert [place(path) for path in TESTS if path.name == "__init__.py"] == ["tests/__init__.py"]


def test_nothing_is_put_off_skipped_or_mocked() -> None:
    files = [path for path in (*MODULES, *TESTS, *SCRIPTS) if path != Path(__file__)]
    assert {place(path): match.group() for path in files if (match := REFUSED.search(path.read_text()))} == {}


def test_no_path_of_a_machine_and_no_registry_is_written_down() -> None:
    found = {
        place(path): match.group()
        for path in TEXTS
        if path != Path(__file__) and (match := MACHINE.search(path.read_text(errors="replace")))
    }
    assert found == {}


def providers_in(path: Path) -> set[type[Provider]]:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    classes = [value for value in vars(module).values() if isinstance(value, type) and not inspect.isabstract(value)]
    return {c for c in classes if issubclass(c, Provider) and c is not Provider and c.__module__ == module.__name__}


def test_every_provider_is_in_the_one_list() -> None:
    written = set().union(*(providers_in(path) for path in (ROOT / "providers").rglob("[a-z]*.py")))
    assert set(PROVIDERS.values()) == written
    assert [name for name, provider in PROVIDERS.items() if provider.name != name] == []


def test_every_make_target_is_explained() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    targets = {match[1]: line for line in lines if (match := re.match(r"([a-z][a-z-]*):(?!=)", line))}
    phony = set(next(line for line in lines if line.startswith(".PHONY:")).removeprefix(".PHONY:").split())
    assert [name for name, line in targets.items() if not re.search(r" ## \w.+", line)] == []
    assert set(targets) == phony
    assert set(targets) >= PROMISED


def names_of(settings: type[BaseSettings]) -> set[str]:
    """What its fields are called in the environment."""
    names = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            alias = str(alias.choices[0])
        names.add((alias if isinstance(alias, str) else name).upper())
    return names


def test_every_setting_is_in_the_example() -> None:
    example = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    modules = [path for path in MODULES if path.name == "settings.py"]
    assert len(modules) >= 3
    missing = {}
    for path in modules:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        kinds = [value for value in vars(module).values() if isinstance(value, type)]
        own = [kind for kind in kinds if issubclass(kind, BaseSettings) and kind.__module__ == module.__name__]
        missing[path.parent.name] = set().union(*(names_of(kind) for kind in own)) - example
    assert {room: names for room, names in missing.items() if names} == {}


def test_the_old_words_do_not_come_back() -> None:
    found = [
        f"{place(path)}:{number}: {match.group()}"
        for path in TEXTS
        if path != Path(__file__) and path.suffix not in (".json", ".lock", ".pem", ".pyc")
        if not place(path).startswith(WRITTEN_BEFORE)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (match := REFUSED_WORDS.search(REFUSED_WORDS_ALLOWED.sub("", line)))
    ]
    assert found == []


def prose_of(page: Path) -> list[str]:
    """The lines of a page outside code blocks and tables."""
    outside = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for line in outside.splitlines() if not line.startswith("|")]


def test_pages_are_narrow_and_the_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    assert len(readme) <= README_LINES_MAX
    assert [line for line in readme if len(line) > PAGE_COLUMNS_MAX] == []
    assert {place(page): line for page in PAGES for line in prose_of(page) if len(line) > PAGE_COLUMNS_MAX} == {}


def test_pages_name_files_that_exist() -> None:
    pages = [page for page in PAGES if "uperseded by" not in page.read_text()[:300]]
    named = {
        (place(page), name)
        for page in pages
        for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|lua|sql|md|toml|yaml))`", page.read_text())
        if name.partition("/")[0] in (*ROOMS, "tests", "docs")
    }
    assert named
    assert {pair for pair in named if not (ROOT / pair[1]).exists()} == set()


def test_no_file_is_too_long() -> None:
    lines = {place(path): len(path.read_text().splitlines()) for path in (*MODULES, *TESTS)}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}


def own_names(path: Path) -> set[str]:
    """The names that a module defines or assigns, and those of slots and fields that it writes as text."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.Constant(value=str(name)):
                names.add(name)
    return names


def private_names_used(path: Path) -> set[str]:
    """The names with one leading underscore that a module reads of an object or imports."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Attribute(attr=name):
                names.add(name)
            case ast.ImportFrom(module=module, names=aliases):
                names |= {alias.name for alias in aliases} | set((module or "").split("."))
            case ast.Import(names=aliases):
                names |= {part for alias in aliases for part in alias.name.split(".")}
    return {name for name in names if re.match(r"_[^_]", name)} - {"_exit"}  # os._exit is documented


def test_no_private_name_of_a_library_is_used() -> None:
    ours = set().union(*(own_names(path) for path in (*MODULES, *TESTS)))
    used = {place(path): names for path in (*MODULES, *TESTS) if (names := private_names_used(path) - ours)}
    assert used == {}


def our_classes() -> Iterator[type]:
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__" and name != "stack.launch":
            module = importlib.import_module(name)
            yield from (kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == name)


def is_of_a_room(thing: object) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in ROOMS


def test_no_private_name_of_a_library_is_overridden() -> None:
    overridden = {
        f"{kind.__module__}.{kind.__name__}": f"{base.__name__}.{name}"
        for kind in our_classes()
        for base in kind.__mro__
        if not is_of_a_room(base)
        for name in vars(kind).keys() & vars(base).keys()
        if re.match(r"_[^_]", name) and is_of_a_room(vars(kind)[name])
    }
    assert overridden == {}
