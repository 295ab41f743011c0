"""The error vocabulary: codes, definiteness, texts, and bodies from the network in any state."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from trio_messenger import (
    FIRST_USER_CODE,
    ErrorCode,
    LocalProtocolError,
    MessengerError,
    QuorumNotReached,
    RemoteProtocolError,
    RpcError,
    RpcTimeout,
)

# Maelstrom, doc/protocol.md, "Errors": code, name, definite.
PROTOCOL_CODES = [
    (0, "timeout", False),
    (1, "node-not-found", True),
    (10, "not-supported", True),
    (11, "temporarily-unavailable", True),
    (12, "malformed-request", True),
    (13, "crash", False),
    (14, "abort", True),
    (20, "key-does-not-exist", True),
    (21, "key-already-exists", True),
    (22, "precondition-failed", True),
    (30, "txn-conflict", True),
]


@pytest.mark.parametrize(("code", "label", "definite"), PROTOCOL_CODES)
def test_each_protocol_code_has_its_name_and_definiteness(code: int, label: str, definite: bool) -> None:
    """Every code of Maelstrom's table carries the table's name and definiteness, on the code and on the error."""
    known = ErrorCode(code)
    assert (known.label, known.definite) == (label, definite)
    for error in (RpcError(code, "no"), RpcError(known, "no"), RpcError(code, "no", definite)):
        assert error.code is known
        assert error.definite is definite
        assert str(error) == f"{label} ({code}): no"
        assert str(RpcError(code)) == f"{label} ({code})"


def test_there_are_no_other_protocol_codes() -> None:
    """`ErrorCode` has the codes of Maelstrom's table and no others."""
    assert [code.value for code in ErrorCode] == [code for code, _, _ in PROTOCOL_CODES]


@pytest.mark.parametrize("code", [FIRST_USER_CODE, FIRST_USER_CODE + 1, 99, -1, 10**29])
def test_other_codes_are_indefinite_unless_said_otherwise(code: int) -> None:
    """A code that Maelstrom does not define is kept as a plain number and is definite only on request."""
    assert RpcError(code).code == code
    assert type(RpcError(code).code) is int
    assert RpcError(code).definite is False
    assert RpcError(code, definite=False).definite is False
    assert RpcError(code, definite=True).definite is True
    assert str(RpcError(code, "sold out")) == f"application error ({code}): sold out"
    assert str(RpcError(code)) == f"application error ({code})"


def test_first_user_code_is_maelstroms() -> None:
    """Application codes begin at 1000, as Maelstrom says."""
    assert FIRST_USER_CODE == 1000


@pytest.mark.parametrize(("code", "label", "definite"), PROTOCOL_CODES)
def test_contradicting_the_protocol_is_refused(code: int, label: str, definite: bool) -> None:
    """Whoever says of a protocol code that it is as definite as it is not gets a ValueError that says so."""
    kind = "definite" if definite else "indefinite"
    with pytest.raises(
        ValueError, match=rf"^error code {code} \({label}\) is {kind} by the protocol; leave 'definite' out$"
    ):
        RpcError(code, "no", not definite)


def test_the_family_has_one_root() -> None:
    """`MessengerError` catches all of the library's own errors, and `RpcError` catches timeouts too."""
    for error in (RpcError(20), RpcTimeout("n2", 0, 1.0), LocalProtocolError("no")):
        assert isinstance(error, MessengerError)
    assert issubclass(RpcTimeout, RpcError)


@pytest.mark.parametrize(
    ("body", "code", "text", "definite"),
    [
        ({"code": 20, "text": "no key"}, 20, "no key", True),
        ({"code": 0, "text": ""}, 0, "", False),
        ({"code": 13}, 13, "", False),
        ({"code": 1000, "text": "no stock"}, 1000, "no stock", False),
        ({"code": 1001, "text": "no stock"}, 1001, "no stock", True),
        ({"code": 99, "text": "?"}, 99, "?", False),
        ({"code": -1}, -1, "", False),
        ({"code": 10**29, "text": "big"}, 10**29, "big", False),
        ({"code": 20, "text": None}, 20, "None", True),
        ({"code": 20, "text": 7}, 20, "7", True),
        ({"code": 20, "text": ["a"]}, 20, "['a']", True),
        ({}, 13, "the code of an error reply is None, not an integer: ", False),
        ({"text": "oh"}, 13, "the code of an error reply is None, not an integer: oh", False),
        ({"code": True, "text": "oh"}, 13, "the code of an error reply is True, not an integer: oh", False),
        ({"code": False}, 13, "the code of an error reply is False, not an integer: ", False),
        ({"code": 20.0, "text": "oh"}, 13, "the code of an error reply is 20.0, not an integer: oh", False),
        ({"code": "20", "text": {}}, 13, "the code of an error reply is '20', not an integer: {}", False),
        ({"code": [1]}, 13, "the code of an error reply is [1], not an integer: ", False),
    ],
)
def test_an_error_body_is_read_whatever_its_state(body: dict[str, Any], code: int, text: str, definite: bool) -> None:
    """A code that is an integer is taken as it is; anything else is an indefinite crash whose text shows it."""
    error = RpcError.from_body({"type": "error", **body}, definite_codes=(1001, 99, 13, -1))
    assert type(error) is RpcError
    assert (error.code, error.text, error.definite) == (code, text, definite)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={"type": JSON_VALUES, "code": JSON_VALUES, "text": JSON_VALUES}))
def test_no_error_body_raises(body: dict[str, Any]) -> None:
    """Whatever JSON stands in an error body, it becomes a `RpcError` that can be shown and passed on."""
    error = RpcError.from_body(body)
    assert str(int(error.code)) in str(error)
    assert RpcError.from_body(error.to_body()).to_body() == error.to_body()


def test_the_class_that_reads_does_not_matter() -> None:
    """`RpcTimeout.from_body` gives a plain `RpcError` too: who was asked is not in a body."""
    assert type(RpcTimeout.from_body({"code": 0})) is RpcError


def test_to_body_tells_type_code_and_text() -> None:
    """The body of an error has plain values, in the order of Maelstrom's examples."""
    body = RpcError(ErrorCode.ABORT, "gave up").to_body()
    assert list(body.items()) == [("type", "error"), ("code", 14), ("text", "gave up")]
    assert type(body["code"]) is int
    assert RpcError(1000, definite=True).to_body() == {"type": "error", "code": 1000, "text": ""}


def test_half_a_surrogate_pair_does_not_stop_an_error() -> None:
    """An error whose text has half a character gets through, with a question mark in its place."""
    assert RpcError(13, "a\ud800b\udfffc é😀").to_body()["text"] == "a?b?c é😀"


def test_a_text_that_is_no_string_becomes_one() -> None:
    """An exception handed on as the text of an error is shown as it shows itself."""
    assert RpcError(13, ValueError("bad")).text == "bad"  # type: ignore[arg-type] # what a hurried author writes


ERRORS = [RpcError(20), RpcError(20, "no key"), RpcError(1000, "own", True), RpcError(1000, "own"), RpcError(0, "?")]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_rpc_error_survives_copy_and_pickle(error: RpcError) -> None:
    """A copied or pickled error has the class, code, text, definiteness and notes of the original."""
    error.add_note("seen by n3")
    assert RpcError(*error.args).to_body() == error.to_body()
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is RpcError
        assert (twin.code, twin.text, twin.definite) == (error.code, error.text, error.definite)
        assert str(twin) == str(error)
        assert twin.__notes__ == error.__notes__


@pytest.mark.parametrize(
    "error", [RemoteProtocolError("it does not fit"), QuorumNotReached(2, {"n2": 1}, {"n3": RpcError(11)}, {"n4": 0})]
)
def test_errors_of_other_forms_survive_copy_and_pickle(error: RpcError) -> None:
    """With all that they carry, and their notes."""
    error.add_note("seen by n3")
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), twin.code, twin.definite) == (
            type(error),
            str(error),
            error.code,
            error.definite,
        )
        assert twin.__notes__ == error.__notes__
        assert getattr(twin, "refused", None) == getattr(error, "refused", None)


def test_rpc_timeout_survives_copy_and_pickle() -> None:
    """A copied or pickled timeout still knows who was asked, with which number, for how long."""
    error = RpcTimeout("n2", 0, 0.25)
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is RpcTimeout
        assert (twin.dest, twin.msg_id, twin.seconds) == ("n2", 0, 0.25)
        assert (twin.code, twin.definite, str(twin)) == (ErrorCode.TIMEOUT, False, str(error))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(2.0, "2"), (0.25, "0.25"), (0.0, "0"), (1e308, "1e+308"), (math.inf, "inf")]
)
def test_rpc_timeout_says_all_in_one_line(seconds: float, shown: str) -> None:
    """The text of a timeout names the peer, the number and the seconds, and travels as error 0."""
    error = RpcTimeout("n2", 7, seconds)
    assert str(error) == f"no reply from 'n2' to msg_id 7 within {shown} s"
    assert error.to_body() == {"type": "error", "code": 0, "text": str(error)}
    assert error.code is ErrorCode.TIMEOUT
    assert error.definite is False


@pytest.mark.parametrize("error", [ValueError("x" * 50_000_000), RpcError(1001, "x" * 50_000_000)])
def test_a_long_text_is_cut_so_that_the_peer_takes_the_reply(error: Exception) -> None:
    """Nodes refuse lines of more than 16 MiB, so the peer would hear nothing, and wait."""
    text = RpcError.from_exception(error).to_body()["text"]
    assert len(text) < 66_000
    assert text.endswith("xx... (49934464 more characters)" if isinstance(error, RpcError) else " more characters)")
