"""Each Lua script keeps the contract it opens with, and its callers give it the keys it announces."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for room in ("gateway", "consumers", "operations") for path in (ROOT / room).rglob("*.lua"))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


class Contract(NamedTuple):
    """The KEYS or ARGV a script announces: how many, and whether the last one stands for any number."""

    numbers: int
    is_open: bool


def header_of(path: Path) -> str:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("#!lua"), f"{place(path)} does not begin with #!lua"
    end = next((number for number, line in enumerate(lines[1:], 1) if not line.startswith("--")), len(lines))
    return "\n".join(lines[1:end])


def contract_of(header: str, section: str) -> Contract:
    """Read from the lines of `KEYS` or `ARGV`: numbers from 1 on, the last one perhaps open (`3…n`)."""
    match = re.search(rf"^-- {section}\s.*?(?=^-- (?:KEYS|ARGV|Returns)\b)", header, re.MULTILINE | re.DOTALL)
    assert match, f"says nothing about {section}"
    numbers = re.findall(r"(?:^--\s+|·\s+)(\d+)(…?)", match.group().replace(f"-- {section}", "--"), re.MULTILINE)
    assert [int(number) for number, _ in numbers] == list(range(1, len(numbers) + 1)), match.group()
    assert not any(is_open for _, is_open in numbers[:-1])
    return Contract(len(numbers), bool(numbers and numbers[-1][1]))


@pytest.mark.parametrize("path", SCRIPTS, ids=place)
def test_a_script_keeps_the_contract_it_opens_with(path: Path) -> None:
    header = header_of(path)
    assert re.search(r"^-- Returns\s+\S", header, re.MULTILINE)
    code = path.read_text().removeprefix(header)
    code = "\n".join(line.partition("--")[0] for line in code.splitlines())
    for section in ("KEYS", "ARGV"):
        contract = contract_of(header, section)
        used = {int(number) for number in re.findall(rf"{section}\[(\d+)\]", code)}
        fixed = contract.numbers - contract.is_open
        assert set(range(1, fixed + 1)) <= used, f"{section} are announced that the script does not use"
        assert max(used, default=0) <= contract.numbers, f"{section} are used that were not announced"
        counted = re.search(rf"#{section}\b|{section}\[[^\]\d]|ipairs\({section}\)|unpack\({section}", code)
        assert bool(counted) == contract.is_open, f"whether {section} may be any number is not what is announced"
    assert not re.search(r"redis\.call\(\s*['\"]KEYS['\"]", code)


def calls_of_scripts() -> Iterator[tuple[str, ast.List]]:
    """In consumers/scripts.py: the script a typed method calls, and the list of keys it gives."""
    for method in ast.walk(tree(ROOT / "consumers" / "scripts.py")):
        if not isinstance(method, ast.AsyncFunctionDef):
            continue
        lists = {
            node.targets[0].id: node.value
            for node in ast.walk(method)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(method):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "_call":
                name, keys = call.args[:2]
                given = lists[keys.id] if isinstance(keys, ast.Name) and keys.id in lists else keys
                assert isinstance(name, ast.Constant)
                yield str(name.value), given if isinstance(given, ast.List) else ast.List([ast.Starred(given)])


def test_a_typed_method_gives_the_keys_its_script_announces() -> None:
    calls = list(calls_of_scripts())
    assert calls
    for name, keys in calls:
        contract = contract_of(header_of(ROOT / "consumers" / "lua" / f"{name}.lua"), "KEYS")
        more = any(isinstance(key, ast.Starred) for key in keys.elts)
        fixed = sum(not isinstance(key, ast.Starred) for key in keys.elts)
        # One that may be absent is given by unpacking a list of none or one.
        assert fixed == contract.numbers - more, f"{name}: {fixed} keys given, {contract.numbers} announced"
