"""One process of ``edit_export``: writes a model as a new version and notes what the work itself cost.

    python benchmarks/resave.py link|copy|tensorflow SOURCE BASE_PATH REPORT
    python benchmarks/resave.py make FOLDER

It works on a tiny model first, so that imports, and whatever either side does only once, are over when it starts to
count; that is also how it is in a notebook. The second form writes the model with 800 MB of variables.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable

from function_models import OUTPUT, SAMPLE, SIGNATURE

# Python puts the folder of a script on its path, and TensorFlow would find requests.py of this folder for the library.
sys.path.pop(0)

VARIABLES, VARIABLE_SHAPE = 16, (5000, 2500)  # 50 MB each


def with_explorer(source: str, base_path: str, link: bool) -> None:
    """Renames an output and exports."""
    import explorer

    model = explorer.open_saved_model(source)
    model = explorer.rename_output(model, SIGNATURE, OUTPUT, "scores")
    explorer.export(model, base_path, link=link)


def with_tensorflow(source: str, base_path: str) -> None:
    """Loads and saves. The output keeps its name: another one would take a function around it on top of this."""
    import tensorflow as tf

    loaded = tf.saved_model.load(source)
    tf.saved_model.save(loaded, f"{base_path}/1", signatures=dict(loaded.signatures))


def make_model(folder: str) -> None:
    """Writes a model with 800 MB of variables and the signature of the sample."""
    import tensorflow as tf

    generator = tf.random.Generator.from_seed(0)
    module = tf.Module()
    module.layers = [tf.Variable(generator.normal(VARIABLE_SHAPE)) for _ in range(VARIABLES)]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def scale(x: tf.Tensor) -> dict[str, tf.Tensor]:
        for layer in module.layers:
            x = x * layer[0, 0]
        return {OUTPUT: x}

    module.scale = scale
    tf.saved_model.save(module, folder, signatures={SIGNATURE: scale})


def costs() -> tuple[float, int]:
    """CPU seconds and the peak of the resident set in bytes, of this process up to now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(how: str, source: str, base_path: str = "", report: str = "") -> None:
    """Does the work twice, first on the tiny model, and writes what the second time cost to ``report`` as JSON."""
    if how == "make":
        make_model(source)
        return
    work: Callable[[str, str], None] = with_tensorflow
    if how != "tensorflow":

        def work(source: str, base_path: str) -> None:
            with_explorer(source, base_path, how == "link")

    with tempfile.TemporaryDirectory() as tiny:
        work(str(SAMPLE), tiny)
    cpu_before, peak_before = costs()
    work(source, base_path)
    cpu_after, peak_after = costs()
    with open(report, "w", encoding="utf-8") as file:
        json.dump({"work_cpu_s": cpu_after - cpu_before, "peak_growth_bytes": peak_after - peak_before}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
