"""Builds one version folder in a process of its own, so that every counter inside TensorFlow starts at zero."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from recipes import RECIPES

_RANDOM_PREFIX = re.compile(rb"_temp_[0-9a-f]{32}/part")
_FIXED_PREFIX = b"_temp_" + b"0" * 32 + b"/part"


def build_version(name: str, root: str, report: str) -> None:
    """Builds ``<root>/<name>`` and writes to the file ``report`` what it answers and which versions built it."""
    export_dir = Path(root).resolve() / name
    report_file = Path(report).resolve()
    module_name, function_name = RECIPES[name]
    with tempfile.TemporaryDirectory() as empty_folder:
        os.chdir(empty_folder)
        import keras
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        answers = getattr(importlib.import_module(f"recipes.{module_name}"), function_name)(export_dir)
        os.chdir(export_dir)
    _fix_saver_prefix(export_dir)
    versions = {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tf_keras": importlib.metadata.version("tf_keras"),  # imported only by the recipe that needs it
    }
    report_file.write_text(json.dumps({"answers": answers, "built_with": versions}), encoding="utf-8")


def _fix_saver_prefix(export_dir: Path) -> None:
    """Puts a fixed name where TensorFlow 1's Saver puts a random one for its temporary files."""
    pb_file = export_dir / "saved_model.pb"
    if pb_file.exists():
        # The replacement is as long as what it replaces, so that no length on the way changes.
        pb_file.write_bytes(_RANDOM_PREFIX.sub(_FIXED_PREFIX, pb_file.read_bytes()))
        return
    text_file = export_dir / "saved_model.pbtxt"
    text_file.write_bytes(_RANDOM_PREFIX.sub(_FIXED_PREFIX, text_file.read_bytes()))


def check_answers(root: str, expected: dict[str, Any], report: str) -> None:
    """Asks the models under ``root`` what expected.json holds; writes the wrong answers by model to ``report``."""
    import tensorflow as tf

    from recipes.answers import wrong_answers

    tf.get_logger().setLevel("ERROR")
    problems = {
        model: [
            problem
            for version, answers in versions.items()
            for problem in wrong_answers(Path(root) / model / version, answers)
        ]
        for model, versions in expected.items()
    }
    Path(report).write_text(json.dumps(problems), encoding="utf-8")
