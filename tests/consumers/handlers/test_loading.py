"""HANDLERS=module:name loads the user's handlers, or says what is wrong with the name or the module."""

import sys
from pathlib import Path

import pytest

from consumers.handlers import Handlers, HandlersError, load


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a user's module, importable as `shop_handlers`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "shop_handlers.py"


def test_the_users_handlers_join_the_built_in_ones(module: Path) -> None:
    module.write_text("from consumers.handlers import Handlers\nhandlers = Handlers()\nother = 1\n")
    builtin = Handlers()
    assert load("", builtin, "") is builtin
    assert isinstance(load("shop_handlers:handlers", builtin, ""), Handlers)
    with pytest.raises(HandlersError, match="is a int"):
        load("shop_handlers:other", builtin, "")


@pytest.mark.parametrize(
    "name", ["nowhere", "nowhere:x", "json", "json:", ":x", ":", "..:x", "consumers.handlers:nothing", "json:loads:x"]
)
def test_a_name_of_nothing_is_an_error_that_quotes_it(name: str) -> None:
    with pytest.raises(HandlersError, match="HANDLERS="):
        load(name, Handlers(), "")


def test_the_module_may_be_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "handlers_elsewhere.py").write_text(
        "from consumers.handlers import Handlers\nimport json\nhandlers = Handlers()\nnumber = 1\n"
    )
    (tmp_path / "json.py").write_text("raise RuntimeError('not to be found before that of Python')")
    with pytest.raises(
        HandlersError, match=r"cannot be loaded: ModuleNotFoundError: No module named 'handlers_elsewhere'$"
    ):
        load("handlers_elsewhere:handlers", Handlers(), "")
    assert isinstance(load("handlers_elsewhere:handlers", Handlers(), str(tmp_path)), Handlers)
    with pytest.raises(HandlersError, match=f"HANDLERS_FOLDER={tmp_path}\\): ModuleNotFoundError"):
        load("nowhere:handlers", Handlers(), str(tmp_path))


def test_the_error_names_the_line_of_the_mistake(module: Path) -> None:
    other = module.with_name("handlers_with_a_mistake.py")
    other.write_text("from consumers.handlers import Handlers\n\nhandlers = Handers()\n")
    with pytest.raises(HandlersError, match=r"NameError: .* \(.*handlers_with_a_mistake\.py, line 3\)"):
        load("handlers_with_a_mistake:handlers", Handlers(), "")


@pytest.mark.parametrize(
    "source", ["def broken(:", "raise RuntimeError('no settings')", "import nowhere_at_all", "exit(3)"]
)
def test_a_module_that_does_not_load_is_an_error(module: Path, source: str) -> None:
    other = module.with_name(f"broken_{abs(hash(source))}.py")
    other.write_text(source)
    with pytest.raises(HandlersError, match="cannot be loaded"):
        load(f"{other.stem}:handlers", Handlers(), "")


def test_a_syntax_error_names_the_file_of_the_user_and_the_line(module: Path) -> None:
    module.with_name("handlers_half_written.py").write_text("one = 1\ndef broken(\n")
    with pytest.raises(HandlersError, match=r"SyntaxError: .* \(.*handlers_half_written\.py, line 2\)"):
        load("handlers_half_written:handlers", Handlers(), "")


@pytest.mark.parametrize("name", ["json", "json:", ":x", ":"])
def test_a_name_of_half_says_how_it_is_written(name: str) -> None:
    with pytest.raises(HandlersError, match="must be module:name"):
        load(name, Handlers(), "")
