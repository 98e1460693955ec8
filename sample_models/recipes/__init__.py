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
}
"""Which function of which module builds a version folder: ``{"<model>/<version>": (module, function)}``."""
