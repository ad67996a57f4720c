"""A secret cannot be empty and cannot be printed."""

import copy
import json
import logging
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from providers.secret import Secret

TEXT = "whsec_do-not-print"


class Holder(BaseModel):
    secrets: tuple[Secret, ...]


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u00a0\u2003", "\ud800"])
def test_an_empty_secret_cannot_be_built(text: str) -> None:
    with pytest.raises(ValueError, match="a secret is"):
        Secret(text)
    with pytest.raises(ValidationError):
        Holder.model_validate({"secrets": [text]})


def test_a_secret_is_used_literally() -> None:
    assert Secret(" a b \n").reveal() == " a b \n"


def test_nothing_shows_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    holder = Holder.model_validate({"secrets": [TEXT]})
    (secret,) = holder.secrets
    logging.getLogger("test").warning("%s %r %s", secret, secret, holder)
    shown = [str(secret), repr(secret), f"{secret}", repr(holder), str(holder.model_dump()), holder.model_dump_json()]
    assert not any(TEXT in text for text in (*shown, caplog.text))
    assert json.loads(holder.model_dump_json()) == {"secrets": ["Secret(hidden)"]}
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_cannot_be_pickled_or_copied(copied: object) -> None:
    assert callable(copied)
    with pytest.raises(TypeError):
        copied(Secret(TEXT))


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["x"]])
def test_only_text_can_be_a_secret(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"secrets": [value]})
