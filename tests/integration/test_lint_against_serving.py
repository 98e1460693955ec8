"""The linter's cases, run: a broken body really fails or is answered wrongly, and the corrected one is answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from lint_cases import CASES, PNG, LintCase, model_folder, open_model

from explorer import open_saved_model
from explorer.runtime.rest import Rest, rest
from explorer.runtime.rest_api import RestAnswer
from explorer.serving.lint import lint


@pytest.fixture(scope="module")
def server() -> Iterator[Callable[[str], Rest]]:
    """Gives the server of a model, which stays warm for all tests."""
    opened: dict[str, Rest] = {}

    def of(name: str) -> Rest:
        if name not in opened:
            opened[name] = rest(model_folder(name), consent=True)
        return opened[name]

    yield of
    for one in opened.values():
        one.close()


def ask(one: Rest, verb: str, body: str) -> RestAnswer:
    """Sends a body to a verb."""
    answer: RestAnswer = getattr(one, verb)(body)
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_body_fails_and_the_corrected_one_works(case: LintCase, server: Callable[[str], Rest]) -> None:
    """The broken body gets the status of its case, or an answer that isn't meant; the corrected one gets 200."""
    one = server(case.model)
    broken = ask(one, case.verb, case.body)
    assert broken.status == case.status, broken.text
    found = lint(case.body, open_model(case.model), verb=case.verb, signature_key=case.signature)
    if found.status is not None:
        assert json.loads(broken.text)["error"] == found.server_sentence
    assert found.corrected is not None
    for body in (found.corrected, *found.more_bodies):
        answer = ask(one, case.verb, body)
        assert answer.status == 200, f"{body}: {answer.text}"
        if case.status == 200:
            assert answer.body != broken.body


def test_graph_that_decodes_base64_is_sent_web_safe_text(tmp_path: Path) -> None:
    """An input behind DecodeBase64: standard base64 and {"b64": …} fail in the graph, the corrected bodies work."""

    class Decoder(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image")])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            def decoded(text: tf.Tensor) -> tf.Tensor:
                return tf.io.decode_image(tf.io.decode_base64(text), 3, expand_animations=False)

            return {"pixels": tf.map_fn(decoded, image, fn_output_signature=tf.uint8)}

    module = Decoder()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.__call__)
    model = open_saved_model(tmp_path / "1")
    picture = PNG + b"\xfb\xff\xfe"  # bytes behind a picture are passed over, and need + and / in base64
    text = base64.b64encode(picture).decode()
    with rest(tmp_path / "1", consent=True) as one:
        for value, code in ((text, "alphabet"), ({"b64": text}, "decoded_twice")):
            body = json.dumps({"instances": [value]})
            assert one.predict(body).status == 400
            found = lint(body, model)
            assert [finding.code for finding in found.findings] == [code]
            assert found.corrected is not None
            assert one.predict(found.corrected).json() == {"predictions": [[[[255, 0, 0]]]]}
