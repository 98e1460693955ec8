"""What hands a model over to those who serve it: docker, ``models.config``, KServe. Triton has a module of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from explorer.errors import RequestError, listed, quoted
from explorer.savedmodel.model import MetaGraph, SavedModel, printable_tags
from explorer.serving.literals import shell_literal, text_proto_literal, yaml_literal
from explorer.serving.snippets import MODEL_FOLDER, served_name
from explorer.serving.triton import triton_files

DEFAULT_IMAGE: Final = "tensorflow/serving"
SERVE_TAGS: Final = frozenset({"serve"})
"""The tags that TensorFlow Serving asks for when nothing else is said."""

CONFIG_PLACE: Final = "/models/models.config"
"""Where the container finds its configuration."""

_REST_PORT, _GRPC_PORT = 8501, 8500
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_DNS = re.compile(r"[^a-z0-9]+")
_LONGEST_DNS_NAME = 63
_MOST_VERSION = (1 << 63) - 1


def docker_command(
    model: SavedModel,
    *,
    tags: Iterable[str] | None = None,
    model_name: str | None = None,
    rest_port: int = _REST_PORT,
    grpc_port: int = _GRPC_PORT,
    image: str = DEFAULT_IMAGE,
    config_file: str | Path | None = None,
) -> str:
    """Makes the ``docker run`` command that serves a model with TensorFlow Serving.

    Args:
        model: The model; its base path is mounted, so that a version that is exported later is picked up.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        model_name: The server's name for it; None takes the name of the base path.
        rest_port: The port on this machine for REST.
        grpc_port: The port on this machine for gRPC.
        image: The image, with its tag.
        config_file: A file that :func:`models_config` made; None serves this one model without one.

    Returns:
        A command on several lines for a POSIX shell.

    Raises:
        NotFoundError: There is no such meta graph.
        RequestError: TensorFlow Serving can't be asked for the meta graph's tags, or an argument doesn't fit.
    """
    name = _checked_name(model_name or served_name(model))
    for port in (rest_port, grpc_port):
        if not 0 < port < 65536:
            raise RequestError(f"{port} is no port; give a number from 1 to 65535")
    # The image's entry point puts $MODEL_NAME into its command without quotes: other names come in by flags.
    is_plain = _PLAIN_NAME.fullmatch(name) is not None
    target = f"/models/{name if is_plain else 'model'}"
    lines = [
        "docker run --rm",
        f"-p {rest_port}:{_REST_PORT} -p {grpc_port}:{_GRPC_PORT}",
        f"--mount {_mount(*_mounted(model, target))}",
    ]
    flags = []
    if config_file is not None:
        lines.append(f"--mount {_mount(str(Path(config_file).absolute()), CONFIG_PLACE)}")
        flags.append(f"--model_config_file={CONFIG_PLACE}")
    elif is_plain:
        lines.append(f"-e MODEL_NAME={name}")
    else:
        flags += [f"--model_name={name}", f"--model_base_path={target}"]
    if (wanted := model.meta_graph(tags).tags) != SERVE_TAGS:
        flags.append(f"--saved_model_tags={_joined_tags(wanted)}")
    lines.append(" ".join([_word(image), *map(_word, flags)]))
    return " \\\n  ".join(lines)


def models_config(
    model: SavedModel,
    *,
    model_name: str | None = None,
    base_path: str | None = None,
    policy: str | Sequence[int] | None = None,
    labels: Mapping[str, int] | None = None,
) -> str:
    """Writes a ``models.config``, a ModelServerConfig in protobuf's text format.

    The fields are those of ``model_server_config.proto`` and ``file_system_storage_path_source.proto`` in
    https://github.com/tensorflow/serving.

    Args:
        model: The model.
        model_name: The server's name for it; None takes the name of the base path.
        base_path: Where the server finds the folder with the version folders; None takes the place in the container of
            :func:`docker_command`.
        policy: Which versions are loaded: ``"latest"``, ``"all"``, or the numbers of some; None takes those that have
            a label, and else the latest.
        labels: Label → version: what clients can ask for in place of a number.

    Raises:
        RequestError: A label stands for a version that isn't loaded, or an argument doesn't fit.
    """
    name = _checked_name(model_name or served_name(model))
    place = base_path or f"/models/{name if _PLAIN_NAME.fullmatch(name) else 'model'}"
    labels = dict(labels or {})
    if policy is None:
        policy = sorted(set(labels.values())) or "latest"
    lines = [
        f"name: {text_proto_literal(name)}",
        f"base_path: {text_proto_literal(place)}",
        'model_platform: "tensorflow"',
        *_policy_lines(policy, labels),
    ]
    if labels:
        lines.append(
            "# A label can be given to a version that is loaded already; to start with labels the server needs"
        )
        lines.append("# --allow_version_labels_for_unavailable_models.")
    for label, version in labels.items():
        lines.append(f"version_labels {{ key: {text_proto_literal(label)} value: {version} }}")
    inner = "".join(f"    {line}\n" for line in lines)
    return f"model_config_list {{\n  config {{\n{inner}  }}\n}}\n"


def kserve_yaml(
    model: SavedModel,
    *,
    tags: Iterable[str] | None = None,
    name: str | None = None,
    storage_uri: str | None = None,
    namespace: str | None = None,
) -> str:
    """Writes a KServe InferenceService that serves a model with TensorFlow Serving.

    Args:
        model: The model.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        name: The service's name, which is also the model's name in the URL; None makes one of the base path's name.
        storage_uri: Where the cluster finds the folder with the version folders: ``s3://…``, ``gs://…``, ``pvc://…``;
            None leaves a place to fill in.
        namespace: The namespace; None leaves it to ``kubectl``.

    Returns:
        YAML for ``kubectl apply -f``, in ASCII.

    Raises:
        NotFoundError: There is no such meta graph.
        RequestError: Kubernetes takes no such name, or TensorFlow Serving can't be asked for the tags.
    """
    meta_graph = model.meta_graph(tags)
    service = _dns_name(served_name(model)) if name is None else name
    for text in (service, *([] if namespace is None else [namespace])):
        if text != _dns_name(text):
            raise RequestError(
                f"{quoted(text)} is no name for Kubernetes: small letters, digits and dashes, first a letter, at most "
                f"{_LONGEST_DNS_NAME}; one such as {quoted(_dns_name(text))}"
            )
    lines = [
        "apiVersion: serving.kserve.io/v1beta1",
        "kind: InferenceService",
        "metadata:",
        f"  name: {yaml_literal(service)} # also the model's name in the URL: /v1/models/{service}:predict",
        *([] if namespace is None else [f"  namespace: {yaml_literal(namespace)}"]),
        "spec:",
        "  predictor:",
        "    model:",
        "      modelFormat:",
        "        name: tensorflow",
        *_format_version(meta_graph),
        "      protocolVersion: v1",
    ]
    if storage_uri is None:
        lines.append("      # To fill in: where the cluster finds the folder that holds the version folders.")
    lines.append(f"      storageUri: {yaml_literal(storage_uri or f's3://YOUR-BUCKET/{service}')}")
    if meta_graph.tags != SERVE_TAGS:
        lines += ["      args:", f"        - {yaml_literal(f'--saved_model_tags={_joined_tags(meta_graph.tags)}')}"]
    return "\n".join(lines) + "\n"


def handover_files(
    model: SavedModel, *, tags: Iterable[str] | None = None, model_name: str | None = None
) -> dict[str, str]:
    """Every hand-over file of a model that can be made: name, with folders, → content.

    Raises:
        NotFoundError: There is no such meta graph.
    """
    makers: dict[str, Callable[[], str]] = {
        "docker-run.sh": lambda: docker_command(model, tags=tags, model_name=model_name) + "\n",
        "models.config": lambda: models_config(model, model_name=model_name),
        "inference-service.yaml": lambda: kserve_yaml(
            model, tags=tags, name=None if model_name is None else _dns_name(model_name)
        ),
    }
    model.meta_graph(tags)
    files = {}
    for name, make in makers.items():
        try:
            files[name] = make()
        except RequestError:  # tags that this server can't be asked for; another may
            continue
    triton = triton_files(model, tags=tags, model_name=model_name)
    return files | {f"triton/{place}": text for place, text in triton.items()}


def _mounted(model: SavedModel, target: str) -> tuple[str, str]:
    """What is mounted where: the base path; a model that stands in none becomes version 1."""
    if model.base_path is not None:
        return str(model.base_path), target
    return str(model.path or MODEL_FOLDER), f"{target}/1"


def _mount(source: str, target: str) -> str:
    """The value of ``--mount``: a line of CSV, so that a path may hold commas and quotes."""
    fields = ["type=bind", f"source={source}", f"target={target}", "readonly"]
    for field in fields:
        if "\n" in field or "\0" in field:
            raise RequestError(f"docker can't mount {quoted(field)}: its name has a line end; move the model elsewhere")
    return _word(
        ",".join('"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field for field in fields)
    )


def _word(text: str) -> str:
    """A text as a word of the shell, quoted only where it must be."""
    return text if re.fullmatch(r"[A-Za-z0-9@%+=:,./_-]+", text) else shell_literal(text)


def _checked_name(name: str) -> str:
    if not name or "\0" in name:
        raise RequestError(f"{quoted(name)} is no name for a model on a server; give model_name=")
    return name


def _joined_tags(tags: frozenset[str]) -> str:
    """The tags as TensorFlow Serving's flag takes them."""
    if not tags or any("," in tag or not tag or "\0" in tag for tag in tags):
        raise RequestError(
            f"TensorFlow Serving can't be asked for the tags {printable_tags(tags)}: its flag takes tags without "
            "commas, and at least one; set other tags with set_tags"
        )
    return ",".join(sorted(tags))


def _policy_lines(policy: str | Sequence[int], labels: Mapping[str, int]) -> list[str]:
    for label, version in labels.items():
        if not label:
            raise RequestError(f"the label of version {version} is empty; give it a name such as 'stable'")
        _check_version(version)
    if policy == "latest":
        if len(set(labels.values())) > 1:
            raise RequestError(
                f"the policy 'latest' loads one version only, and the labels {listed(labels)} stand for several; leave "
                "the policy out"
            )
        return ["# Only the largest version number is loaded.", "model_version_policy { latest { num_versions: 1 } }"]
    if policy == "all":
        return ["# Every version is loaded.", "model_version_policy { all {} }"]
    if isinstance(policy, str) or not policy:
        raise RequestError("the policy is 'latest', 'all' or the numbers of at least one version")
    for version in policy:
        _check_version(version)
    if unloaded := [label for label, version in labels.items() if version not in policy]:
        raise RequestError(f"the labels {listed(unloaded)} stand for versions that the policy doesn't load; add them")
    versions = " ".join(f"versions: {version}" for version in policy)
    return ["# These versions are loaded, and no others.", f"model_version_policy {{ specific {{ {versions} }} }}"]


def _check_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or abs(version) > _MOST_VERSION:
        raise RequestError(f"{quoted(str(version))} is no version number; give a whole number")


def _dns_name(text: str) -> str:
    """A name that Kubernetes takes (RFC 1035), as near to the text as can be."""
    name = _NO_DNS.sub("-", text.lower()).strip("-")[:_LONGEST_DNS_NAME].rstrip("-")
    if not name:
        return "model"
    return name if name[0].isalpha() else f"model-{name}"[:_LONGEST_DNS_NAME].rstrip("-")


def _format_version(meta_graph: MetaGraph) -> list[str]:
    """The major version of TensorFlow, by which KServe may choose a runtime; nothing where it isn't known."""
    major = meta_graph.tensorflow_version.partition(".")[0]
    return [f"        version: {yaml_literal(major)}"] if major in ("1", "2") else []
