"""What sources.toml says about posting and namespaces, as the workers read it."""

from pathlib import Path

import pytest

from contract.accounts import PostingRules, PostingRulesError
from runtime.sources_file import read_namespaces, read_posting_rules


def test_posting_rules_are_read_without_the_secrets(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text('[a]\nsecrets = ["${NOWHERE}"]\ntrust = "all"\n[b]\nprovider = "hmac"\n')
    assert read_posting_rules(path) == {"a": PostingRules(trust="all"), "b": PostingRules()}
    assert read_posting_rules(tmp_path / "absent.toml") == {}


def test_the_namespace_of_a_source_is_its_name_unless_set(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text('[a]\nnamespace = "acme"\n[b]\nnamespace = "acme"\n[c]\n')
    assert read_namespaces(path) == {"acme", "c"}
    assert read_namespaces(tmp_path / "absent.toml") == set()


@pytest.mark.parametrize(("text", "problem"), [("[a", "cannot be read"), ('[a]\ntrust = "x"', r"\[a\] trust is not")])
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(PostingRulesError, match=problem):
        read_posting_rules(path)
