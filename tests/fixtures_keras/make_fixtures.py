"""Makes the files of this folder: ``python tests/fixtures_keras/make_fixtures.py``.

Nobody can install the Keras of 2016 to 2019 beside a TensorFlow of today, so its files are written here with h5py as
those versions wrote them: the attributes of ``keras/engine/saving.py`` (2.2.4, 2.3.1) and ``keras/engine/topology.py``
(1.2.2, 2.0.8), texts as bytes, the configuration of each layer with the arguments that it had then. What the models
answer is computed with numpy, by the formulas of that time, and stands in ``expected.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

HERE = Path(__file__).parent
GLOROT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}
ORTHOGONAL = {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}}
ZEROS: dict[str, Any] = {"class_name": "Zeros", "config": {}}
ONES: dict[str, Any] = {"class_name": "Ones", "config": {}}
NO_REGULARIZERS = {f"{kind}_{what}": None for kind in ("kernel", "bias") for what in ("regularizer", "constraint")} | {
    "activity_regularizer": None
}


def main() -> None:
    """Writes every file."""
    random = np.random.default_rng(4)
    expected = {
        "keras_2_2_4_functional.h5": functional(random),
        "keras_2_2_4_lstm.h5": lstm(random),
        "keras_2_3_1_sequential.h5": sequential(random, "2.3.1"),
        "keras_2_0_8_sequential.h5": sequential(random, "2.0.8"),
    }
    keras_1(random)
    weights_only(random)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def functional(random: np.random.Generator) -> dict[str, Any]:
    """Two inputs, a convolution, batch normalization, and two outputs, of Keras 2.2.4."""
    kernel, bias = normal(random, 3, 3, 1, 2), normal(random, 2)
    gamma, beta, mean, variance = normal(random, 2), normal(random, 2), normal(random, 2), np.abs(normal(random, 2)) + 1
    dense, dense_bias = normal(random, 5, 3), normal(random, 3)
    config = {
        "name": "model_1",
        "layers": [
            layer("InputLayer", "image", [], batch_input_shape=[None, 4, 4, 1], dtype="float32", sparse=False),
            layer(
                "Conv2D", "conv2d_1", ["image"], trainable=True, filters=2, kernel_size=[3, 3], strides=[1, 1],
                padding="valid", data_format="channels_last", dilation_rate=[1, 1], activation="relu", use_bias=True,
                kernel_initializer=GLOROT, bias_initializer=ZEROS, **NO_REGULARIZERS,
            ),
            layer(
                "BatchNormalization", "batch_normalization_1", ["conv2d_1"], trainable=True, axis=-1, momentum=0.99,
                epsilon=0.001, center=True, scale=True, beta_initializer=ZEROS, gamma_initializer=ONES,
                moving_mean_initializer=ZEROS, moving_variance_initializer=ONES, beta_regularizer=None,
                gamma_regularizer=None, beta_constraint=None, gamma_constraint=None,
            ),
            layer(
                "GlobalAveragePooling2D", "pool", ["batch_normalization_1"], trainable=True,
                data_format="channels_last",
            ),
            layer("InputLayer", "numbers", [], batch_input_shape=[None, 3], dtype="float32", sparse=False),
            layer("Concatenate", "concatenate_1", ["pool", "numbers"], trainable=True, axis=-1),
            layer("Dropout", "dropout_1", ["concatenate_1"], trainable=True, rate=0.5, noise_shape=None, seed=None),
            dense_layer("probabilities", ["dropout_1"], 3, "softmax"),
        ],
        "input_layers": [["image", 0, 0], ["numbers", 0, 0]],
        "output_layers": [["probabilities", 0, 0], ["pool", 0, 0]],
    }  # fmt: skip
    weights = {
        "image": {},
        "conv2d_1": {"conv2d_1/kernel:0": kernel, "conv2d_1/bias:0": bias},
        "batch_normalization_1": {
            f"batch_normalization_1/{name}:0": value
            for name, value in zip(
                ("gamma", "beta", "moving_mean", "moving_variance"), (gamma, beta, mean, variance), strict=True
            )
        },
        "pool": {}, "numbers": {}, "concatenate_1": {}, "dropout_1": {},
        "probabilities": {"probabilities/kernel:0": dense, "probabilities/bias:0": dense_bias},
    }  # fmt: skip
    write("keras_2_2_4_functional.h5", "2.2.4", "Model", config, weights)
    image, numbers = normal(random, 2, 4, 4, 1), normal(random, 2, 3)
    windows = np.lib.stride_tricks.sliding_window_view(image[..., 0], (3, 3), axis=(1, 2))
    convolved = np.maximum(np.einsum("bxyij,ijo->bxyo", windows, kernel[:, :, 0]) + bias, 0)
    pool = ((convolved - mean) / np.sqrt(variance + 0.001) * gamma + beta).mean((1, 2))
    scores = np.concatenate([pool, numbers], -1) @ dense + dense_bias
    exponents = np.exp(scores - scores.max(-1, keepdims=True))
    return {
        "inputs": {"image": image.tolist(), "numbers": numbers.tolist()},
        "outputs": {"probabilities": (exponents / exponents.sum(-1, keepdims=True)).tolist(), "pool": pool.tolist()},
    }


def lstm(random: np.random.Generator) -> dict[str, Any]:
    """An embedding and an LSTM with the ``hard_sigmoid`` that was its default then."""
    table, kernel, recurrent, bias = normal(random, 7, 3), normal(random, 3, 8), normal(random, 2, 8), normal(random, 8)
    config = {
        "name": "sequential_1",
        "layers": [
            layer(
                "Embedding", "embedding_1", None, trainable=True, batch_input_shape=[None, None], dtype="float32",
                input_dim=7, output_dim=3, embeddings_initializer=GLOROT, embeddings_regularizer=None,
                activity_regularizer=None, embeddings_constraint=None, mask_zero=False, input_length=None,
            ),
            layer(
                "LSTM", "lstm_1", None, trainable=True, return_sequences=False, return_state=False,
                go_backwards=False, stateful=False, unroll=False, units=2, activation="tanh",
                recurrent_activation="hard_sigmoid", use_bias=True, kernel_initializer=GLOROT,
                recurrent_initializer=ORTHOGONAL, bias_initializer=ZEROS, unit_forget_bias=True,
                recurrent_regularizer=None, recurrent_constraint=None, dropout=0.0, recurrent_dropout=0.0,
                implementation=1, **NO_REGULARIZERS,
            ),
        ],
    }  # fmt: skip
    weights = {
        "embedding_1": {"embedding_1/embeddings:0": table},
        "lstm_1": {"lstm_1/kernel:0": kernel, "lstm_1/recurrent_kernel:0": recurrent, "lstm_1/bias:0": bias},
    }
    write("keras_2_2_4_lstm.h5", "2.2.4", "Sequential", config, weights)
    words = np.array([[1, 2, 3, 6], [0, 5, 5, 4]])
    state, cell = np.zeros((2, 2)), np.zeros((2, 2))
    for step in table[words].transpose(1, 0, 2):
        into, forget, new, out = np.split(step @ kernel + state @ recurrent + bias, 4, -1)
        into, forget, out = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (into, forget, out))
        cell = forget * cell + into * np.tanh(new)
        state = out * np.tanh(cell)
    return {"inputs": {"embedding_1_input": words.tolist()}, "outputs": {"lstm_1": state.tolist()}}


def sequential(random: np.random.Generator, version: str) -> dict[str, Any]:
    """Two dense layers; before 2.2.3 the configuration of a Sequential model was a bare list."""
    first, first_bias, second, second_bias = (normal(random, *shape) for shape in ((4, 3), (3,), (3, 1), (1,)))
    layers = [dense_layer("dense_1", None, 3, "tanh"), dense_layer("dense_2", None, 1, "sigmoid")]
    layers[0]["config"] |= {"batch_input_shape": [None, 4], "dtype": "float32"}
    config: Any = layers if version == "2.0.8" else {"name": "sequential_1", "layers": layers}
    weights = {
        "dense_1": {"dense_1/kernel:0": first, "dense_1/bias:0": first_bias},
        "dense_2": {"dense_2/kernel:0": second, "dense_2/bias:0": second_bias},
    }
    write(f"keras_{version.replace('.', '_')}_sequential.h5", version, "Sequential", config, weights)
    values = normal(random, 3, 4)
    answer = 1 / (1 + np.exp(-(np.tanh(values @ first + first_bias) @ second + second_bias)))
    return {"inputs": {"dense_1_input": values.tolist()}, "outputs": {"dense_2": answer.tolist()}}


def keras_1(random: np.random.Generator) -> None:
    """A model of Keras 1.2.2, whose layers had other arguments (``output_dim``) and whose weights other names."""
    config = [
        {
            "class_name": "Dense",
            "config": {
                "name": "dense_1", "trainable": True, "batch_input_shape": [None, 4], "input_dtype": "float32",
                "output_dim": 2, "init": "glorot_uniform", "activation": "linear", "W_regularizer": None,
                "b_regularizer": None, "activity_regularizer": None, "W_constraint": None, "b_constraint": None,
                "bias": True, "input_dim": 4,
            },
        }
    ]  # fmt: skip
    weights = {"dense_1": {"dense_1_W": normal(random, 4, 2), "dense_1_b": normal(random, 2)}}
    write("keras_1_2_2_sequential.h5", "1.2.2", "Sequential", config, weights)


def weights_only(random: np.random.Generator) -> None:
    """What ``save_weights`` of Keras 2.2.4 wrote."""
    with h5py.File(HERE / "keras_2_2_4_weights.h5", "w") as file:
        write_weights(file, "2.2.4", {"dense_1": {"dense_1/kernel:0": normal(random, 4, 2)}, "flatten_1": {}})


def layer(class_name: str, name: str, inputs: list[str] | None, **config: Any) -> dict[str, Any]:
    """A layer; in a graph, with what it is called on."""
    found: dict[str, Any] = {"class_name": class_name, "config": {"name": name, **config}}
    if inputs is not None:
        found |= {"name": name, "inbound_nodes": [[[each, 0, 0, {}] for each in inputs]] if inputs else []}
    return found


def dense_layer(name: str, inputs: list[str] | None, units: int, activation: str) -> dict[str, Any]:
    """A dense layer."""
    return layer(
        "Dense", name, inputs, trainable=True, units=units, activation=activation, use_bias=True,
        kernel_initializer=GLOROT, bias_initializer=ZEROS, **NO_REGULARIZERS,
    )  # fmt: skip


def write(name: str, version: str, class_name: str, config: Any, weights: dict[str, dict[str, np.ndarray]]) -> None:
    """A whole model."""
    with h5py.File(HERE / name, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": class_name, "config": config}).encode()
        write_weights(file.create_group("model_weights"), version, weights)


def write_weights(group: Any, version: str, weights: dict[str, dict[str, np.ndarray]]) -> None:
    """The weights of every layer, with the names that say their order."""
    group.attrs["layer_names"] = np.array([name.encode() for name in weights])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = version.encode()
    for name, values in weights.items():
        inner = group.create_group(name)
        inner.attrs["weight_names"] = np.array([each.encode() for each in values])
        for each, value in values.items():
            inner.create_dataset(each, data=value.astype(np.float32))


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers that are whole in float32."""
    return random.normal(size=shape).astype(np.float32).astype(np.float64)


if __name__ == "__main__":
    main()
