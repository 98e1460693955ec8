"""What hands a model over to other servers says the truth about it and survives odd names."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import explorer
from explorer.errors import ExplorerError, RequestError
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.serving.handover import docker_command, handover_files, kserve_yaml, models_config
from explorer.serving.triton import triton_config, triton_files

Declared = Mapping[str, tuple[str, list[int | None] | None]]

HOSTILE = ("quotes ' \" `", "a\nb", "\0", "${x} $(id) # {", "日本 grün", "\\", "\x1b[31m", "a,b", " ")


def a_model(
    inputs: Declared, outputs: Declared, key: str = "serving_default", tags: tuple[str, ...] = ("serve",), **more: Any
) -> SavedModel:
    """A model with one signature."""

    def tensors(declared: Declared) -> dict[str, Any]:
        return {
            name: {"dtype": dtype, "shape": shape, "tensor_name": "x:0"} for name, (dtype, shape) in declared.items()
        }

    signature = Signature.from_dict({"inputs": tensors(inputs), "outputs": tensors(outputs)}, key)
    return SavedModel((MetaGraph(tags, {key: signature}),), **more)


FLOATS = a_model({"x": ("DT_FLOAT", [None, 3])}, {"y": ("DT_FLOAT", [None])})


class TextProto:
    """Reads protobuf's text format into dicts of lists, independent of any schema."""

    def __init__(self, text: str) -> None:
        self.tokens = self._tokens(text)
        self.at = 0

    @staticmethod
    def _tokens(text: str) -> list[str]:
        found, at = [], 0
        while at < len(text):
            character = text[at]
            if character == "#":
                at = text.index("\n", at)
            elif character == '"':
                end = at + 1
                while text[end] != '"':
                    assert text[end] != "\n", "a line end in a string"
                    end += 2 if text[end] == "\\" else 1
                found.append(text[at : end + 1])
                at = end + 1
            elif character.isspace() or character in ",":
                at += 1
            elif character in "{}[]:":
                found.append(character)
                at += 1
            else:
                end = at
                while end < len(text) and not text[end].isspace() and text[end] not in "{}[]:,#":
                    end += 1
                found.append(text[at:end])
                at = end
        return found

    def read(self, end: str = "") -> dict[str, list[Any]]:
        """The fields up to a closing brace, or the end of the text."""
        fields: dict[str, list[Any]] = {}
        while self.at < len(self.tokens) and self.tokens[self.at] != end:
            name = self._next()
            assert name.isidentifier(), name
            if self.tokens[self.at] == ":":
                self._next()
            fields.setdefault(name, []).extend(self._values())
        if end:
            assert self._next() == end
        return fields

    def _values(self) -> list[Any]:
        token = self._next()
        if token == "{":
            return [self.read("}")]
        if token != "[":
            return [self._scalar(token)]
        values = []
        while (token := self._next()) != "]":
            values.append(self._scalar(token))
        return values

    @staticmethod
    def _scalar(token: str) -> Any:
        if not token.startswith('"'):
            return int(token) if token.lstrip("-").isdigit() else token
        data, at, inside = bytearray(), 0, token[1:-1]
        short = {"n": 10, "r": 13, "t": 9, '"': 34, "\\": 92}
        while at < len(inside):
            if inside[at] != "\\":
                data += inside[at].encode("ascii")
                at += 1
            elif inside[at + 1] in short:
                data.append(short[inside[at + 1]])
                at += 2
            else:
                data.append(int(inside[at + 1 : at + 4], 8))
                at += 4
        return data.decode("utf-8")

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]


def read_text_proto(text: str) -> dict[str, list[Any]]:
    """The fields of a message in text format: name → values."""
    assert text.isascii()
    return TextProto(text).read()


def words_of(command: str) -> list[str]:
    """The words of a command on several lines, as a shell reads them."""
    return shlex.split(command.replace("\\\n", " "))


def test_docker_mounts_the_base_path(sample_models: Path) -> None:
    """The base path is mounted read-only under the model's name, and both ports lead to where Serving listens."""
    command = docker_command(
        explorer.open_saved_model(sample_models / "half_plus_two"), rest_port=9001, grpc_port=9000, image="serving:2.19"
    )
    mount = f"type=bind,source={sample_models / 'half_plus_two'},target=/models/half_plus_two,readonly"
    assert words_of(command) == [
        *("docker", "run", "--rm", "-p", "9001:8501", "-p", "9000:8500", "--mount", mount),
        *("-e", "MODEL_NAME=half_plus_two", "serving:2.19"),
    ]


def test_docker_of_a_model_without_a_version() -> None:
    """A model that stands in no version folder is mounted as version 1."""
    words = words_of(docker_command(a_model({}, {}, path=Path("/data/model"))))
    assert "type=bind,source=/data/model,target=/models/model/1,readonly" in words
    assert "type=bind,source=MODEL_FOLDER,target=/models/model/1,readonly" in words_of(docker_command(FLOATS))


@pytest.mark.parametrize("name", [name for name in HOSTILE if not set(name) & set("\0\n")])
def test_docker_with_odd_names(name: str) -> None:
    """A path with commas and quotes is one field of the mount, and an odd model name never meets the image's shell."""
    import csv

    words = words_of(docker_command(a_model({}, {}, path=Path(f"/data/{name}/7"), version=7), model_name=name))
    (fields,) = csv.reader([words[words.index("--mount") + 1]])
    assert fields == ["type=bind", f"source=/data/{name}", "target=/models/model", "readonly"]
    assert words[-2:] == [f"--model_name={name}", "--model_base_path=/models/model"] and "-e" not in words


def test_docker_with_a_configuration_and_tags(sample_models: Path) -> None:
    """A configuration is mounted and named by its flag; other tags than serve are asked for."""
    model = explorer.open_saved_model(sample_models / "several_meta_graphs")
    words = words_of(docker_command(model, tags=["serve", "gpu"], config_file="/etc/my models.config"))
    assert "type=bind,source=/etc/my models.config,target=/models/models.config,readonly" in words
    assert words[-2:] == ["--model_config_file=/models/models.config", "--saved_model_tags=gpu,serve"]
    assert "--saved_model_tags" not in docker_command(model)


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        (a_model({}, {}, tags=("a,b",)), {}, "can't be asked for the tags a,b"),
        (a_model({}, {}, tags=()), {}, "can't be asked for the tags (no tag)"),
        (FLOATS, {"rest_port": 0}, "0 is no port"),
        (FLOATS, {"grpc_port": 65536}, "65536 is no port"),
        (FLOATS, {"model_name": "\0"}, "is no name for a model on a server"),
        (a_model({}, {}, path=Path("/a\nb")), {}, "has a line end"),
    ],
)
def test_docker_refuses(model: SavedModel, arguments: dict[str, Any], told: str) -> None:
    """What can't be served so is refused with a sentence."""
    with pytest.raises(RequestError) as caught:
        docker_command(model, **arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["half_plus_two", *HOSTILE[:2], *HOSTILE[3:]])
def test_models_config_says_name_and_place(name: str) -> None:
    """Name, base path and platform are read back; the default policy is the latest version."""
    ((config,),) = [
        entry["config"] for entry in read_text_proto(models_config(FLOATS, model_name=name))["model_config_list"]
    ]
    place = "/models/half_plus_two" if name == "half_plus_two" else "/models/model"
    assert (config["name"], config["base_path"]) == ([name], [place])
    assert config["model_platform"] == ["tensorflow"] and "version_labels" not in config
    assert config["model_version_policy"] == [{"latest": [{"num_versions": [1]}]}]


@pytest.mark.parametrize(
    ("arguments", "policy", "labels"),
    [
        ({"policy": "all"}, {"all": [{}]}, []),
        ({"policy": [3, 1]}, {"specific": [{"versions": [3, 1]}]}, []),
        ({"labels": {"canary": 7, "stable": 2}}, {"specific": [{"versions": [2, 7]}]}, [("canary", 7), ("stable", 2)]),
        ({"policy": "all", "labels": {"a\n": 1}}, {"all": [{}]}, [("a\n", 1)]),
        ({"policy": "latest", "labels": {"new": 5}}, {"latest": [{"num_versions": [1]}]}, [("new", 5)]),
    ],
)
def test_models_config_with_policy_and_labels(
    arguments: dict[str, Any], policy: dict[str, Any], labels: list[tuple[str, int]]
) -> None:
    """The policy loads what labels stand for, and the labels are a map from name to number."""
    text = models_config(FLOATS, base_path="/srv/m", **arguments)
    ((config,),) = [entry["config"] for entry in read_text_proto(text)["model_config_list"]]
    assert config["model_version_policy"] == [policy] and config["base_path"] == ["/srv/m"]
    assert [(label["key"][0], label["value"][0]) for label in config.get("version_labels", [])] == labels
    assert ("--allow_version_labels_for_unavailable_models" in text) is bool(labels)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            {"policy": [1], "labels": {"stable": 2}},
            "the labels 'stable' stand for versions that the policy doesn't load",
        ),
        ({"policy": "latest", "labels": {"a": 1, "b": 2}}, "loads one version only"),
        ({"policy": "newest"}, "the policy is 'latest', 'all' or the numbers"),
        ({"policy": []}, "the numbers of at least one version"),
        ({"policy": ["1"]}, "'1' is no version number"),
        ({"labels": {"": 1}}, "the label of version 1 is empty"),
        ({"labels": {"a": 1 << 63}}, "is no version number"),
    ],
)
def test_models_config_refuses(arguments: dict[str, Any], told: str) -> None:
    """A configuration that a server would refuse, or start with and then miss versions, isn't written."""
    with pytest.raises(RequestError) as caught:
        models_config(FLOATS, **arguments)
    assert told in str(caught.value)


def test_kserve(sample_models: Path) -> None:
    """The YAML is an InferenceService with TensorFlow's runtime, a name that Kubernetes takes, and the tags."""
    model = explorer.open_saved_model(sample_models / "several_meta_graphs")
    data = yaml.safe_load(kserve_yaml(model, tags=["serve", "gpu"], storage_uri="gs://b/日本 #x: y", namespace="ml"))
    assert data == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "several-meta-graphs", "namespace": "ml"},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "tensorflow", "version": "2"},
                    "protocolVersion": "v1",
                    "storageUri": "gs://b/日本 #x: y",
                    "args": ["--saved_model_tags=gpu,serve"],
                }
            }
        },
    }
    simple = yaml.safe_load(kserve_yaml(FLOATS))
    assert "args" not in simple["spec"]["predictor"]["model"] and simple["metadata"] == {"name": "model"}
    assert "version" not in simple["spec"]["predictor"]["model"]["modelFormat"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("A_b.C", "a-b-c"), ("123", "model-123"), ("日本", "model"), ("x" * 99, "x" * 63), ("-a-", "a")],
)
def test_kserve_names(folder: str, name: str) -> None:
    """A name that Kubernetes takes is made of the folder's; a given one that it doesn't take is refused."""
    model = a_model({}, {}, path=Path(f"/data/{folder}/1"), version=1)
    assert yaml.safe_load(kserve_yaml(model))["metadata"]["name"] == name
    with pytest.raises(RequestError, match=f"one such as '{name}'"):
        kserve_yaml(model, name=folder)


def triton_of(model: SavedModel, **arguments: Any) -> dict[str, list[Any]]:
    """A ``config.pbtxt``, read back."""
    return read_text_proto(triton_config(model, **arguments))


def test_triton_with_a_batch() -> None:
    """Where all tensors have a batch it is left out of the dims; a tensor of it alone is reshaped from [1]."""
    config = triton_of(FLOATS, model_name="m")
    assert (config["name"], config["platform"], config["max_batch_size"]) == (["m"], ["tensorflow_savedmodel"], [32])
    assert config["input"] == [{"name": ["x"], "data_type": ["TYPE_FP32"], "dims": [3]}]
    assert config["output"] == [{"name": ["y"], "data_type": ["TYPE_FP32"], "dims": [1], "reshape": [{"shape": []}]}]
    parameters = {entry["key"][0]: entry["value"][0]["string_value"][0] for entry in config["parameters"]}
    assert parameters == {"TF_GRAPH_TAG": "serve", "TF_SIGNATURE_DEF": "serving_default"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "dims"),
    [
        ({"x": ("DT_INT64", [None])}, {"y": ("DT_FLOAT", [])}, [[-1], "scalar"]),
        ({"x": ("DT_INT64", [2, None])}, {"y": ("DT_FLOAT", [None])}, [[2, -1], [-1]]),
        ({"x": ("DT_STRING", None)}, {"y": ("DT_FLOAT", [None, 4])}, [[-1], [-1, 4]]),
        ({"x": ("DT_BOOL", [])}, {"y": ("DT_FLOAT", [])}, ["scalar", "scalar"]),
    ],
)
def test_triton_without_a_batch(inputs: Declared, outputs: Declared, dims: list[Any]) -> None:
    """One tensor without a batch, and there is none for any: dims are whole shapes, scalars are reshaped from [1]."""
    config = triton_of(a_model(inputs, outputs))
    assert config["max_batch_size"] == [0]
    found = []
    for entry in (*config["input"], *config["output"]):
        found.append("scalar" if "reshape" in entry else entry["dims"])
        assert "reshape" not in entry or (entry["dims"], entry["reshape"]) == ([1], [{"shape": []}])
    assert found == dims


def test_triton_batching_can_be_switched_off() -> None:
    """With a batch size of 0 the dims are whole shapes."""
    config = triton_of(FLOATS, max_batch_size=0)
    assert (config["max_batch_size"], config["input"][0]["dims"], config["output"][0]["dims"]) == ([0], [-1, 3], [-1])


def test_triton_knows_these_dtypes() -> None:
    """Each dtype has the name that model_config.proto has for it."""
    names = {
        "BOOL": "BOOL", "UINT8": "UINT8", "UINT16": "UINT16", "UINT32": "UINT32", "UINT64": "UINT64", "INT8": "INT8",
        "INT16": "INT16", "INT32": "INT32", "INT64": "INT64", "HALF": "FP16", "FLOAT": "FP32", "DOUBLE": "FP64",
        "STRING": "STRING", "BFLOAT16": "BF16",
    }  # fmt: skip
    config = triton_of(a_model({name: (f"DT_{name}", [None]) for name in names}, {"y": ("DT_FLOAT", [None])}))
    assert {entry["name"][0]: entry["data_type"][0] for entry in config["input"]} == {
        name: f"TYPE_{wanted}" for name, wanted in names.items()
    }


@pytest.mark.parametrize("key", HOSTILE)
def test_triton_with_odd_names(key: str) -> None:
    """Keys of signature, inputs and outputs are read back as they are; the name can be a folder."""
    model = a_model({key: ("DT_FLOAT", [None])}, {key: ("DT_FLOAT", [None])}, key)
    ((path, text),) = triton_files(model, model_name=key).items()
    config = read_text_proto(text)
    assert path == f"{config['name'][0]}/config.pbtxt" and path.count("/") == 1 and path.isascii()
    assert config["input"][0]["name"] == config["output"][0]["name"] == [key]
    assert config["parameters"][1]["value"] == [{"string_value": [key]}]


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        (a_model({"x": ("DT_COMPLEX64", [1])}, {"y": ("DT_FLOAT", [1])}), {}, "which Triton doesn't know"),
        (a_model({"x": ("DT_FLOAT", [1])}, {"y": ("DT_FLOAT", [1])}, tags=("a", "b")), {}, "by a single tag"),
        (a_model({}, {"y": ("DT_FLOAT", [1])}), {}, "has no inputs"),
        (FLOATS, {"max_batch_size": -1}, "-1 is no batch size"),
        (FLOATS, {"model_name": "a/b"}, "can't be a folder"),
        (FLOATS, {"model_name": ".."}, "can't be a folder"),
    ],
)
def test_triton_refuses(model: SavedModel, arguments: dict[str, Any], told: str) -> None:
    """What Triton can't load is refused with a sentence."""
    with pytest.raises(ExplorerError) as caught:
        triton_config(model, **arguments)
    assert told in str(caught.value)


def test_triton_files_never_share_a_name() -> None:
    """Two keys that differ in characters only that no folder has get two folders."""
    first = a_model({"x": ("DT_FLOAT", [1])}, {"y": ("DT_FLOAT", [1])}, "a b").meta_graphs[0].signatures["a b"]
    signatures = {key: Signature(key, first.inputs, first.outputs) for key in ("a b", "a\nb", "a_b")}
    files = triton_files(SavedModel((MetaGraph(("serve",), signatures),)), model_name="m")
    assert list(files) == ["m.a_b/config.pbtxt", "m.a_b.2/config.pbtxt", "m.a_b.3/config.pbtxt"]
    assert [read_text_proto(text)["parameters"][1]["value"][0]["string_value"][0] for text in files.values()] == list(
        signatures
    )


def test_handover_of_every_sample_model(sample_models: Path) -> None:
    """Each model gets its files; each text is read back, and Triton's signatures are among the model's."""
    for file in sorted(sample_models.glob("*/*/saved_model.pb*")):
        if file.parts[-3] == "broken":
            continue
        model = explorer.open_saved_model(file.parent)
        for meta_graph in model.meta_graphs:
            files = handover_files(model, tags=meta_graph.tags)
            assert {"docker-run.sh", "models.config", "inference-service.yaml"} <= set(files)
            assert yaml.safe_load(files["inference-service.yaml"])["kind"] == "InferenceService"
            assert list(read_text_proto(files["models.config"])) == ["model_config_list"]
            named = set()
            for name, text in files.items():
                if name.startswith("triton/"):
                    values = [entry["value"][0]["string_value"][0] for entry in read_text_proto(text)["parameters"]]
                    named.add(values[1])
                    assert {values[0]} == meta_graph.tags
            assert named <= set(meta_graph.callable_signatures)
            assert named or len(meta_graph.tags) > 1
