"""URLs lead where TensorFlow Serving's do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from explorer.serving.answers import error_answer
from explorer.serving.urls import Route, RouteError, route

_RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "conformance" / "rest" / "http.jsonl").read_text("utf-8").splitlines()
]
_NAMED = re.compile(r"(?:Latest\((?P<latest>.*)\)|Specific\((?P<name>.*), (?P<version>\d+)\)|label: (?P<label>.*))\"")


@pytest.mark.parametrize("line", _RECORDED, ids=lambda line: f"{line['method']} {line['path']}")
def test_every_recorded_url(line: dict[str, str]) -> None:
    """A URL that the server refuses gets its answer to the byte; of the others, what the answer names was read."""
    try:
        found = route(line["method"], line["path"])
    except RouteError as error:
        answer = error_answer(error) if error.answer is None else error.answer
        assert (error.status, answer.decode(), error.content_type) == (
            line["status"], line["answer"], line["content_type"],
        )  # fmt: skip
        return
    assert "Malformed" not in line["answer"]
    assert line["content_type"] == "application/json"
    named = _NAMED.search(line["answer"])
    if named is None:
        return
    if named["latest"] is not None:
        assert (found.name, found.version, found.label) == (named["latest"], None, None)
    elif named["name"] is not None:
        assert (found.name, str(found.version)) == (named["name"], named["version"])
    else:
        assert found.label == named["label"]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("POST", "/v1/models/m:predict", Route("predict", "m")),
        ("POST", "/V1/MODELS/M/versions/0012:regress", Route("regress", "M", 12)),
        ("POST", "/v1/models/m/labels/a%20b:classify", Route("classify", "m", None, "a b")),
        ("POST", "/v1/models/m/versions/9223372036854775807:predict", Route("predict", "m", (1 << 63) - 1)),
        ("POST", "http://localhost:8501/v1/models/m:predict", Route("predict", "m")),
        ("GET", "/v1/models/metadata", Route("status", "metadata")),
        ("GET", "/v1/models/m/metadata", Route("metadata", "m")),
        ("GET", "/v1/models/m/METADATA", Route("status", "m")),
        ("GET", "/v1/models/m?x=1", Route("status", "m?x=1")),
        ("GET", "/v1/models/a%2Fb%3Ac", Route("status", "a/b:c")),
        ("GET", "/v1/models/%FF", Route("status", "\udcff")),
        ("GET", "/v1/models/m/versions/" + "0" * 5000 + "7", Route("status", "m", 7)),
    ],
)
def test_what_is_read(method: str, target: str, expected: Route) -> None:
    """Names are decoded, versions have leading zeros, and of the last word's case only the pattern doesn't care."""
    assert route(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target", "status", "sentence"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/versions/1", 400, "Missing model name in request."),
        ("PUT", "/v1/models/m", 400, "Malformed request: PUT /v1/models/m"),
        ("DELETE", "/v1/", 400, "Malformed request: DELETE /v1/"),
        ("POST", "/v1/models/m:PREDICT", 400, "Malformed request: POST /v1/models/m:PREDICT"),
        ("GET", "/v1/models/m/metadata?x", 400, "Malformed request: GET /v1/models/m/metadata?x"),
    ],
)
def test_refusals_with_a_sentence(method: str, target: str, status: int, sentence: str) -> None:
    """What the handler refuses is answered by the usual JSON."""
    with pytest.raises(RouteError) as caught:
        route(method, target)
    assert (caught.value.status, str(caught.value), caught.value.answer) == (status, sentence, None)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404), ("POST", "/v1", 404), ("GET", "*", 404), ("GET", "//v1/models/m", 404),
        ("get", "/v1/models/m", 501), ("TRACE", "/v1/models/m", 501),
        ("GET", "/v1/models/a b", 400), ("GET", "/v1/models/é", 400), ("GET", "/v1/models/%zz", 400),
        ("GET", "/v1/models/m\n", 400),
    ],
)  # fmt: skip
def test_refusals_by_libevent(method: str, target: str, status: int) -> None:
    """What never reaches the handler gets libevent's page."""
    with pytest.raises(RouteError) as caught:
        route(method, target)
    assert caught.value.status == status
    assert caught.value.content_type == "text/html"
    assert caught.value.answer is not None
    assert f"<TITLE>{status} ".encode() in caught.value.answer


@pytest.mark.parametrize("digits", ["9223372036854775808", "9" * 5000])
def test_a_version_beyond_int64_is_refused_without_a_body(digits: str) -> None:
    """The status is 400, and the server writes nothing."""
    with pytest.raises(RouteError) as caught:
        route("GET", f"/v1/models/m/versions/{digits}")
    assert (caught.value.status, caught.value.answer) == (400, b"")


def test_preflight() -> None:
    """OPTIONS is fine exactly with an http origin, in a header of any case."""
    assert route("OPTIONS", "/v1/x", {"origin": "https://a.b"}).verb == "preflight"
    for headers in ({}, {"Origin": "ftp://a.b"}):
        with pytest.raises(RouteError) as caught:
            route("OPTIONS", "/v1/x", headers)
        assert (caught.value.status, caught.value.answer) == (400, b"")
