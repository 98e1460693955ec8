"""What the words on the panels mean, in two sentences each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "version": (
            "TensorFlow Serving looks under a base path for folders whose names are whole numbers and serves the "
            "largest one. A new export gets the next number, and the old one stays for going back."
        ),
        "checkpoint": (
            "A checkpoint is what a training program writes so that it can go on later: the values of its variables, "
            "sometimes with the graph, never with signatures. One names it by the beginning that its files share."
        ),
        "frozen graph": (
            "A frozen graph is a graph in which the trained values stand as constants, in one file. It has no "
            "signatures, so one has to say which tensors go in and which come out."
        ),
        "preprocessing": (
            "Preprocessing turns what a client has, such as a JPEG file, into the numbers that a model was trained on. "
            "Inside the model it is the same for every client."
        ),
        "tag set": (
            "One SavedModel can hold several graphs over the same variables, each chosen by a set of tags that must "
            "match exactly. TensorFlow Serving asks for the graph whose only tag is serve."
        ),
        "signature": (
            "A signature is a named way to call the graph: which tensors to feed, which to fetch, and under which "
            "keys. A request that names no signature calls serving_default."
        ),
        "method name": (
            "It says what a server does with the signature: predict takes and gives any tensors, classify and regress "
            "take tf.Example records and give classes with scores, or one number each. The last two have rules for "
            "keys and dtypes that the checks know."
        ),
        "key": (
            "The key is the name that a client writes in its request, or finds in the answer. It is free to choose and "
            "need not be the name of the tensor."
        ),
        "dtype": (
            "The dtype is the type of each value: float32, int64, string and so on. A request with values of another "
            "type is refused, not converted."
        ),
        "shape": (
            "The shape says how many values there are along each dimension; a ? stands for any number, and most often "
            "the first one is the batch. An empty shape, [], is a single value."
        ),
        "tensor": (
            "The tensor is the place in the graph that the key stands for: the name of an operation and the number of "
            "its output, as in x:0. Two keys may stand for the same tensor."
        ),
        "row and column": (
            "In row format each instance is an object with all inputs, so the first dimension of every input must be "
            "the batch. In column format each input is given once and whole, which fits every signature."
        ),
        "child process": (
            "The model is loaded and run in a process of its own, without network and with limits of time and memory, "
            "as TensorFlow Serving would load it. If it crashes or hangs, only that process ends."
        ),
        "warm-up record": (
            "A file beside the model can hold requests that a server runs before it serves a version, so that the "
            "first client need not wait. A version whose records fail is not served."
        ),
    }
)
"""Term → its explanation."""
