"""Builds broken/: folders that are no SavedModel, or a SavedModel with something wrong in it, without TensorFlow.

    python sample_models/build_broken.py

Some are the good model ``linear`` with a file cut short or left out, the others are written byte by byte.
broken/expected.json says of each what the explorer must make of it: ``refused`` with one sentence, shown with a
``warning``, or simply ``shown``; ``about`` is a phrase that the sentence has in it, in lower case.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from recipes import hostile  # noqa: E402
from recipes import messages as m  # noqa: E402
from recipes.warmup import predict_record  # noqa: E402

Files = dict[str, bytes]

PB = "saved_model.pb"
PBTXT = "saved_model.pbtxt"
INDEX = "variables/variables.index"

EXPECTED = {
    "empty_folder": ("refused", "without a saved_model.pb"),
    "empty_file": ("refused", "empty file"),
    "truncated": ("refused", "truncated"),
    "lfs_pointer": ("refused", "git lfs"),
    "frozen_graph": ("refused", "frozen graph"),
    "html_page": ("refused", "web page"),
    "hdf5_file": ("refused", "hdf5"),
    "zip_file": ("refused", "zip archive"),
    "chunked_cpb": ("refused", "chunked"),
    "pbtxt_other": ("refused", "savedmodel"),
    "pbtxt_broken": ("refused", "line 7"),
    "no_meta_graphs": ("refused", "no meta graph"),
    "missing_variables": ("warning", "variables"),
    "index_without_data": ("warning", "variables.data-00000-of-00001"),
    "duplicate_tag_sets": ("warning", "tag"),
    "duplicate_signature_key": ("warning", "serving_default"),
    "missing_tensor": ("warning", "logits:0"),
    "tags_in_letters": ("warning", "serve"),
    "no_default_signature": ("warning", "serving_default"),
    "warmup_names_gone_signature": ("warning", "old_name"),
    "hostile_names": ("shown", ""),
    "hostile_nodes": ("shown", ""),
}
"""The verdict on each, and a phrase of the sentence that says so."""


def build(good_models: Path, root: Path) -> None:
    """Writes every broken model into ``root``, which must not exist yet.

    Args:
        good_models: Where the good models are that some of the broken ones are made from.
        root: The folder to write.
    """
    for name, files in {**not_saved_models(good_models), **saved_models_with_faults(good_models)}.items():
        for path, data in files.items():
            file = root / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    expected = {name: {"verdict": verdict, "about": about} for name, (verdict, about) in EXPECTED.items()}
    (root / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


def not_saved_models(good_models: Path) -> dict[str, Files]:
    """What people have in place of a SavedModel: the files of each folder by their path in it."""
    good = (good_models / "linear/1" / PB).read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"5e" * 32 + b"\nsize 16340\n"
    page = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>\n<body><h1>Not Found</h1></body></html>\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(zipfile.ZipInfo("model/saved_model.pb"), b"\x08\x01")
    return {
        "empty_folder": {"NOTE.txt": b"Git keeps no empty folder, so this note lies where the model should be.\n"},
        "empty_file": {PB: b""},
        "truncated": {PB: good[: len(good) // 2]},
        "lfs_pointer": {PB: pointer},
        "frozen_graph": {PB: m.graph([m.placeholder("image"), m.identity("logits", "image")])},
        "html_page": {PB: page},
        "hdf5_file": {PB: b"\x89HDF\r\n\x1a\n" + bytes(88)},
        "zip_file": {PB: archive.getvalue()},
        "chunked_cpb": {"saved_model.cpb": _RIEGELI_SIGNATURE + bytes(64)},
        "pbtxt_other": {PBTXT: _GRAPH_AS_TEXT},
        "pbtxt_broken": {PBTXT: _BROKEN_TEXT},
        "no_meta_graphs": {PB: m.saved_model()},
    }


def saved_models_with_faults(good_models: Path) -> dict[str, Files]:
    """SavedModels that can be shown, each with one fault: the files of each folder by their path in it."""
    good = (good_models / "linear/1" / PB).read_bytes()
    index = (good_models / "linear/1" / INDEX).read_bytes()
    passing = m.signature({"x": "x:0"}, {"y": "y:0"})
    doubled = m.signature({"x": "x:0"}, {"z": "y:0"})
    default = [("serving_default", passing)]
    return {
        "missing_variables": {PB: good},
        "index_without_data": {PB: good, INDEX: index},
        "duplicate_tag_sets": {PB: m.saved_model(_meta_graph(default), _meta_graph([("other", passing)]))},
        "duplicate_signature_key": {PB: _model([("serving_default", doubled), ("serving_default", passing)])},
        "missing_tensor": {PB: _model([("serving_default", m.signature({"x": "x:0"}, {"y": "logits:0"}))])},
        "tags_in_letters": {PB: m.saved_model(_meta_graph(default, tags="serve"))},
        "no_default_signature": {PB: _model([("predict_images", passing)])},
        "warmup_names_gone_signature": {
            PB: _model(default),
            "assets.extra/tf_serving_warmup_requests": predict_record("model", "old_name", "x", [1.0, 2.0]),
        },
        "hostile_names": {PB: hostile.hostile_names()},
        "hostile_nodes": {PB: hostile.hostile_nodes()},
    }


def _model(signatures: list[tuple[str, bytes]]) -> bytes:
    return m.saved_model(_meta_graph(signatures))


def _meta_graph(signatures: list[tuple[str, bytes]], tags: Iterable[str] = ("serve",)) -> bytes:
    """A meta graph whose output ``y`` is its input ``x``; tags given as one text become its letters, a real slip."""
    return m.meta_graph(list(tags), signatures, m.graph([m.placeholder("x"), m.identity("y", "x")]))


# The first bytes of every Riegeli file:
# https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md
_RIEGELI_SIGNATURE = bytes.fromhex(
    "83af70d10d884a3f 0000000000000000 4000000000000000 91bac23c9287e1a9"
    "0000000000000000 e19f13c0e9b1c372 7300000000000000"
)

_GRAPH_AS_TEXT = b"""\
node {
  name: "image"
  op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
}
versions { producer: 1987 }
"""

_BROKEN_TEXT = b"""\
saved_model_schema_version: 1
meta_graphs {
  meta_info_def {
    tags: "serve"
  }
  signature_def {
    key "serving_default
  }
}
"""


if __name__ == "__main__":
    shutil.rmtree(HERE / "broken", ignore_errors=True)
    build(HERE, HERE / "broken")
