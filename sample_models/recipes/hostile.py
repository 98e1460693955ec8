"""Names that try to be more than text when they are shown, and models that bear them."""

from __future__ import annotations

from recipes import messages as m

HOSTILE_NAMES = (
    "<script>window.hacked=1</script>",
    '<img src=x onerror="window.hacked=1">',
    "</script></style></textarea><b onmouseover=window.hacked=1>bold</b>",
    "\"'`><svg/onload=window.hacked=1>",
    "&lt;b&gt;already escaped&lt;/b&gt;",
    "$\\href{javascript:window.hacked=1}{x}$",
    "$$\\text{math}$$ \\(x\\) \\[y\\]",
    "[click](javascript:window.hacked=1) | **bold** | `code`",
    "{{7*7}} ${7*7} %s {0} \\N{BELL}",
    "$(touch hacked) `touch hacked`; touch hacked & 'x' || exit",
    '=HYPERLINK("http://localhost/","x")',
    "../../../etc/passwd",
    "C:\\Windows\\..\\x\0.txt",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J",
    "line one\nline two\r\ttabbed\u2028separated",
    "safe\u202egpj.exe",
    "\u2066\u2067isolated\u2069\u2069",
    "serving\u200b_default",
    "\ufeffserving_default\u00ad",
    "s\u0435rving_d\u0435fault",  # with a Cyrillic letter that looks like an e
    "z\u0335\u0336\u0337\u0338a\u0335\u0336\u0337\u0338lgo",
    "constructor",
    "__proto__",
    "self",
    "class",
    "True",
    "1e999",
    " ",
    "",
    "n" * 703,
)
"""Each is used as signature key, input key, output key, tag and method name."""

# What TensorFlow takes as the name of a node: letters, digits and . at first, then _ - / too, parts joined by >.
LEGAL_INPUT = "x>..-/-_"
LEGAL_OUTPUT = "..../y/" + "n" * 703


def hostile_names() -> bytes:
    """A model that TensorFlow loads and runs, with a hostile name wherever it takes one."""
    signatures = [("serving_default", m.signature({"x": f"{LEGAL_INPUT}:0"}, {"y": f"{LEGAL_OUTPUT}:0"}))]
    signatures += [
        (name, m.signature({name: f"{LEGAL_INPUT}:0"}, {name: f"{LEGAL_OUTPUT}:0"}, method_name=name))
        for name in HOSTILE_NAMES
    ]
    attributes = b"".join(m.text_attribute(f"_note_{i}", name) for i, name in enumerate(HOSTILE_NAMES))
    functions = [m.function(f"{name}_f", "a", "r", name) for name in HOSTILE_NAMES]
    graph = m.graph([m.placeholder(LEGAL_INPUT, attributes), m.identity(LEGAL_OUTPUT, LEGAL_INPUT)], functions)
    return m.saved_model(m.meta_graph(["serve", *filter(None, HOSTILE_NAMES)], signatures, graph))


def hostile_nodes() -> bytes:
    """A model that TensorFlow refuses for the names of its nodes, tensors and functions; its tables can be shown."""
    nodes, functions, signatures = [], [], []
    for number, name in enumerate(filter(None, HOSTILE_NAMES)):
        fed, passed_on = name, f"{name}/y"
        nodes += [m.placeholder(fed), m.identity(passed_on, fed)]
        functions.append(m.function(f"{name}_f", "a", "r", name))
        signatures.append((f"s{number}", m.signature({"x": f"{fed}:0"}, {"y": f"{passed_on}:0"})))
    signatures.append(("serving_default", signatures[0][1]))
    return m.saved_model(m.meta_graph(["serve"], signatures, m.graph(nodes, functions)))
