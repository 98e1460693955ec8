"""What build.py can build: one function per version folder, each in a module named after its kind.

A recipe is a function ``(export_dir) -> answers``. It writes a SavedModel into ``export_dir``, which does not exist
yet, and returns requests with the answers that the model must give, worked out by hand or with numpy and not by
running the model. Its working folder is empty and its own, so that a path that lands in a graph is always the same.

Every weight is a small dyadic fraction (a whole number over a power of two). Sums and products of such numbers are
exact in float32 in whatever order a processor takes them, so that the same bytes come out on every machine.
"""

from __future__ import annotations

RECIPES: dict[str, tuple[str, str]] = {
    "linear/1": ("training_graphs", "linear"),
    "as_printed/1": ("training_graphs", "as_printed"),
    "several_meta_graphs/1": ("training_graphs", "several_meta_graphs"),
    "half_plus_two/00000123": ("half_plus_two", "half_plus_two"),
    "half_plus_two/00000124": ("half_plus_two", "half_plus_two_and_a_half"),
    "keras3/1": ("objects", "keras3"),
    "module/1": ("objects", "module"),
    "image_bytes/1": ("encoded_inputs", "image_bytes"),
    "tf_example/1": ("encoded_inputs", "tf_example"),
    "shapes_and_types/1": ("shapes_and_types", "shapes_and_types"),
    "text_format/1": ("shapes_and_types", "text_format"),
    "tf1_tables/1": ("session_graphs", "tf1_tables"),
    "tf1_ref_variables/1": ("session_graphs", "tf1_ref_variables"),
    "tf1_sparse/1": ("session_graphs", "tf1_sparse"),
    "partitioned/1": ("session_graphs", "partitioned"),
    "estimator_like/1": ("estimator", "estimator_like"),
    "no_variables/1": ("functions", "no_variables"),
    "control_flow/1": ("functions", "control_flow"),
    "captures/1": ("functions", "captures"),
    "ragged/1": ("functions", "ragged"),
    "defaults/1": ("functions", "defaults"),
    "training_trace/1": ("functions", "training_trace"),
    "stateful/1": ("functions", "stateful"),
    "keras3_saved/1": ("keras_models", "keras3_saved"),
    "keras2/1": ("keras_models", "keras2"),
    "custom_op/1": ("altered", "custom_op"),
    "debug_and_unknown/1": ("altered", "debug_and_unknown"),
}
"""Which function of which module builds a version folder: ``{"<model>/<version>": (module, function)}``."""
