"""Builds every sample model, or checks that what is committed is what it builds.

    python sample_models/build.py            builds all into sample_models/
    python sample_models/build.py --check    rebuilds into a temporary folder and compares; exit status 0 or 1

Under the versions of TensorFlow, Keras and tf_keras that built_with.json names, ``--check`` compares the bytes of
every file but fingerprint.pb, which holds a random number. Under others it compares facts: tags, signatures, dtypes,
shapes, assets, and the answers of expected.json. What lies under broken/ is made without TensorFlow and is always
compared by bytes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import build_broken  # noqa: E402
from recipes import RECIPES  # noqa: E402
from recipes.compare import different_bytes, different_facts  # noqa: E402
from recipes.worker import build_version, check_answers  # noqa: E402

EXPECTED = "expected.json"
BUILT_WITH = "built_with.json"

SETTINGS = {
    "PYTHONHASHSEED": "0",  # the order of sets and maps on their way into a file
    "CUDA_VISIBLE_DEVICES": "-1",  # the number of devices is written into every function call
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "0",
    "KERAS_BACKEND": "tensorflow",
}
"""What the environment of a building process must say so that the same bytes come out."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    parser = argparse.ArgumentParser(description="Builds the sample models.")
    parser.add_argument("--check", action="store_true", help="compare a fresh build with what is committed")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        built_with = build_good_models(root)
        if check:
            return check_committed(root, built_with)
        publish(root, built_with)
    return 0


def build_good_models(root: Path) -> dict[str, str]:
    """Builds every model but the broken ones under ``root``, with their expected.json.

    Returns:
        The versions of TensorFlow, Keras and tf_keras that built them.
    """
    expected: dict[str, dict[str, Any]] = {}
    built_with: dict[str, str] = {}
    for name in RECIPES:
        model, version = name.split("/")
        report = _in_a_process(root, build_version, name, str(root))
        expected.setdefault(model, {})[version] = report["answers"]
        built_with = report["built_with"]
    _write_json(root / EXPECTED, expected)
    return built_with


def publish(root: Path, built_with: dict[str, str]) -> None:
    """Puts the models of ``root`` in their place; one that has not changed keeps its files, fingerprint included."""
    for model in _model_names():
        fresh, committed = root / model, HERE / model
        if different_bytes(fresh, committed):
            shutil.rmtree(committed, ignore_errors=True)
            shutil.copytree(fresh, committed)
            print(f"{model}: built")
        else:
            print(f"{model}: unchanged")
    shutil.copyfile(root / EXPECTED, HERE / EXPECTED)
    _write_json(HERE / BUILT_WITH, built_with)
    shutil.rmtree(HERE / "broken", ignore_errors=True)
    build_broken.build(HERE, HERE / "broken")
    print("broken: built")


def check_committed(root: Path, built_with: dict[str, str]) -> int:
    """Compares the models of ``root`` with the committed ones; prints a line for each and returns the exit status."""
    same_versions = built_with == _read_json(HERE / BUILT_WITH)
    expected = _read_json(HERE / EXPECTED)
    if same_versions:
        problems = {model: different_bytes(root / model, HERE / model) for model in _model_names()}
    else:
        problems = _in_a_process(root, different_facts, str(root), str(HERE), _model_names())
        for model, wrong in _in_a_process(root, check_answers, str(root), expected).items():
            problems[model] += wrong
    build_broken.build(HERE, root / "broken")
    problems["broken"] = different_bytes(root / "broken", HERE / "broken")
    if expected != _read_json(root / EXPECTED):
        problems[EXPECTED] = ["is not what the recipes say"]
    for folder in sorted(file.parents[1].name for file in HERE.glob("*/*/saved_model.pb*")):
        if folder not in problems:
            problems[folder] = ["is committed, and no recipe builds it"]
    how = "same bytes" if same_versions else "same facts, built by other versions"
    for model, found in problems.items():
        fine = how if model in _model_names() else "same bytes"
        print(f"{model}: {'; '.join(found) or fine}")
    return 1 if any(problems.values()) else 0


def _model_names() -> list[str]:
    return list(dict.fromkeys(name.split("/")[0] for name in RECIPES))


def _in_a_process(root: Path, function: Callable[..., None], *arguments: Any) -> Any:
    """Calls ``function(*arguments, report=…)`` in a fresh process and returns what it wrote to its report."""
    # A fork server imports TensorFlow once and forks before any of its counters has moved; elsewhere than on Linux
    # there is none, or forking is not safe, and each process imports TensorFlow anew.
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context: Any = multiprocessing.get_context(method)  # which kind of context has no common type with Process
    context.set_forkserver_preload(["tensorflow", "keras"])
    report = root / "report.json"
    process = context.Process(target=function, args=arguments, kwargs={"report": str(report)})
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"{function.__name__}{arguments[:1]} ended with exit code {process.exitcode}")
    answer = _read_json(report)
    report.unlink()
    return answer


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.update(SETTINGS)
    sys.exit(main())
