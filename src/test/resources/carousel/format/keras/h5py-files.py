"""Writes the files beside it: models in the layouts of Keras 3 (.keras) and Keras 2 (.h5), with HDF5's own library through h5py
as Keras itself writes them, and what the models compute, by NumPy in double precision from the definitions of Keras' layers.

python3 h5py-files.py; h5py 3.7 and NumPy 1.24 wrote those that are here.
"""
import io
import json
import zipfile

import h5py
import numpy as np

random = np.random.default_rng(7)


def weights(*shape):
    return random.uniform(-1, 1, shape).astype(np.float32)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def hard_sigmoid_of_keras_2(a):
    return np.clip(0.2 * a + 0.5, 0, 1)


def lstm(x, kernel, recurrent, bias, gate=sigmoid, mask=None, backwards=False):
    """[N, T, C] -> [N, T, H] in the order of reading; a masked step shows the output before it and keeps the state."""
    n, t, _ = x.shape
    h = np.zeros((n, recurrent.shape[0]))
    c = np.zeros_like(h)
    y = []
    for step in range(t)[::-1] if backwards else range(t):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        c_next = gate(f) * c + gate(i) * np.tanh(g)
        h_next = gate(o) * np.tanh(c_next)
        here = np.ones((n, 1), bool) if mask is None else mask[:, step][:, None]
        h, c = np.where(here, h_next, h), np.where(here, c_next, c)
        y.append(h)
    return np.stack(y, axis=1)


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def lstm_config(name, units, **more):
    config = dict(
        name=name, trainable=True, dtype="float32", return_sequences=False, return_state=False, go_backwards=False,
        stateful=False, unroll=False, units=units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
        unit_forget_bias=True, dropout=0.0, recurrent_dropout=0.0)
    config.update(more)
    return config


def layer(kind, config):
    return dict(module="keras.layers", class_name=kind, config=config, registered_name=None)


def keras_3():
    forward, backward = ([weights(3, 16), weights(4, 16), weights(16)] for _ in range(2))
    middle = [weights(8, 20), weights(5, 20), weights(20)]
    dense = [weights(5, 2), weights(2)]
    last = [weights(2, 4), weights(1, 4), weights(4)]
    out = [weights(1, 3)]
    inner = layer("LSTM", lstm_config("forward_lstm", 4, return_sequences=True))
    other = layer("LSTM", lstm_config("backward_lstm", 4, return_sequences=True, go_backwards=True))
    policy = dict(module="keras", class_name="DTypePolicy", config=dict(name="float32"), registered_name=None)
    config = dict(module="keras", class_name="Sequential", registered_name=None, config=dict(
        name="sequential", trainable=True, dtype=policy, layers=[
            layer("InputLayer", dict(batch_shape=[None, None, 3], dtype="float32", sparse=False, name="input_layer")),
            layer("Bidirectional", dict(
                name="bidirectional", trainable=True, dtype=policy, merge_mode="concat", layer=inner,
                backward_layer=other)),
            layer("Dropout", dict(name="dropout", trainable=True, dtype=policy, rate=0.3, seed=None, noise_shape=None)),
            layer("LSTM", lstm_config("lstm_9", 5, return_sequences=True, go_backwards=True)),
            layer("TimeDistributed", dict(name="time_distributed", trainable=True, dtype=policy, layer=layer(
                "Dense", dict(name="dense", trainable=True, dtype=policy, units=2, activation="tanh", use_bias=True)))),
            layer("LSTM", lstm_config("lstm_10", 1)),
            layer("Dense", dict(name="dense_3", units=3, activation="softmax", use_bias=False, dtype=policy)),
        ]))
    h5 = io.BytesIO()
    with h5py.File(h5, "w") as file:
        def put(path, name, values):
            group = file.create_group(path).create_group("vars")
            group.attrs["name"] = name
            for k, value in enumerate(values):
                group[str(k)] = value
        put("layers/bidirectional/forward_layer/cell", "lstm_cell", forward)
        put("layers/bidirectional/backward_layer/cell", "lstm_cell", backward)
        put("layers/dropout/seed_generator", "seed_generator", [np.array([1, 2], np.uint32)])
        put("layers/lstm/cell", "lstm_cell", middle)
        put("layers/time_distributed/layer", "dense", dense)
        put("layers/lstm_1/cell", "lstm_cell", last)
        put("layers/dense", "dense_3", out)
    with zipfile.ZipFile("keras-3.keras", "w") as archive:
        for name, content in (
                ("metadata.json", json.dumps(dict(keras_version="3.10.0", date_saved="2026-01-01@00:00:00"))),
                ("config.json", json.dumps(config)), ("model.weights.h5", h5.getvalue())):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    x = random.uniform(-1, 1, (2, 4, 3))
    y = np.concatenate([lstm(x, *forward), lstm(x, *backward, backwards=True)[:, ::-1]], axis=-1)
    y = lstm(y, *middle, backwards=True)
    y = np.tanh(y @ dense[0] + dense[1])
    y = softmax(lstm(y, *last)[:, -1] @ out[0])
    return dict(x=x.tolist(), y=y.tolist())


def keras_2(name="keras-2.h5", **options):
    table = weights(7, 3)
    first = [weights(3, 16), weights(4, 16), weights(16)]
    second = [weights(4, 12), weights(3, 12), weights(12)]
    dense = [weights(3, 2), weights(2)]

    def entry(kind, config, before):
        return dict(class_name=kind, config=config, name=config["name"],
                    inbound_nodes=[[[before, 0, 0, {}]]] if before else [])
    config = dict(class_name="Functional", config=dict(
        name="model", layers=[
            entry("InputLayer", dict(batch_input_shape=[None, 6], dtype="int32", name="tokens"), None),
            entry("Embedding", dict(
                name="words", trainable=True, batch_input_shape=[None, 6], dtype="float32", input_dim=7, output_dim=3,
                mask_zero=True, input_length=6), "tokens"),
            entry("LSTM", lstm_config(
                "lstm", 4, return_sequences=True, recurrent_activation="hard_sigmoid", time_major=False,
                implementation=2), "words"),
            entry("SpatialDropout1D", dict(name="drop", rate=0.1, noise_shape=None, seed=None), "lstm"),
            entry("LSTM", lstm_config("lstm_1", 3, return_sequences=True, stateful=False), "drop"),
            entry("Dense", dict(name="out", units=2, activation="linear", use_bias=True), "lstm_1"),
        ], input_layers=[["tokens", 0, 0]], output_layers=[["out", 0, 0]]))
    with h5py.File(name, "w", **options) as file:
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode("utf8")
        group = file.create_group("model_weights")
        names = ["drop", "lstm", "lstm_1", "out", "tokens", "words"]
        group.attrs["layer_names"] = [n.encode("utf8") for n in ["tokens", "words", "lstm", "drop", "lstm_1", "out"]]
        group.attrs["backend"] = b"tensorflow"
        group.attrs["keras_version"] = b"2.11.0"
        of = {"words": [("words/embeddings:0", table)],
              "lstm": [(f"lstm/lstm_cell/{n}:0", w) for n, w in zip(["kernel", "recurrent_kernel", "bias"], first)],
              "lstm_1": [(f"lstm_1/lstm_cell_1/{n}:0", w) for n, w in zip(["kernel", "recurrent_kernel", "bias"], second)],
              "out": [("out/kernel:0", dense[0]), ("out/bias:0", dense[1])]}
        for name in names:
            inside = group.create_group(name)
            inside.attrs["weight_names"] = [n.encode("utf8") for n, _ in of.get(name, [])]
            for n, w in of.get(name, []):
                inside.create_dataset(n, w.shape, dtype=w.dtype)[:] = w
    tokens = np.array([[0, 0, 3, 1, 6, 2], [4, 0, 5, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
    mask = tokens != 0
    y = lstm(table[tokens].astype(np.float64), *first, gate=hard_sigmoid_of_keras_2, mask=mask)
    y = lstm(y, *second, mask=mask)
    y = y @ dense[0] + dense[1]
    return dict(tokens=tokens.tolist(), y=y.tolist())


def one_layer(name, put, **options):
    """The smallest model, whose weights another function stores in the group of the layer, not all as Keras does."""
    config = dict(class_name="Sequential", config=dict(name="model", layers=[dict(class_name="Dense", config=dict(
        name="d", units=1, use_bias=True, activation="linear", batch_input_shape=[None, 2]))]))
    with h5py.File(name, "w", **options) as file:
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["keras_version"] = "2.11.0"
        inside = group.create_group("d")
        inside.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        put(inside)


def types(group):
    group.create_dataset("kernel:0", data=np.array([[0.1], [-1e300]], ">f8"))
    group.create_dataset("bias:0", data=np.array([0.25], np.float16))


def soft_link(group):
    group["elsewhere"] = np.zeros((2, 1), np.float32)
    group["kernel:0"] = h5py.SoftLink("/model_weights/d/elsewhere")
    group["bias:0"] = np.zeros(1, np.float32)


def external_link(group):
    group["kernel:0"] = h5py.ExternalLink("keras-2.h5", "/model_weights/out/out/kernel:0")
    group["bias:0"] = np.zeros(1, np.float32)


def chunks(group):
    group.create_dataset("kernel:0", data=np.zeros((2, 1), np.float32), chunks=(2, 1), compression="gzip")
    group["bias:0"] = np.zeros(1, np.float32)


def many(group):
    """More than what newer HDF5 keeps in a header: names in trees, links and attributes in heaps."""
    for k in range(40):
        group[str(k)] = np.zeros(1, np.float32)
        group.attrs[str(k)] = "text"
    group["kernel:0"] = np.array([[1], [2]], np.float32)
    group["bias:0"] = np.array([3], np.float32)


def unwritten(group):
    group.create_dataset("kernel:0", (2, 1), np.float32)
    group["bias:0"] = np.zeros(1, np.float32)


def integers(group):
    group["kernel:0"] = np.zeros((2, 1), np.int32)
    group["bias:0"] = np.zeros(1, np.float32)


one_layer("types.h5", types)
one_layer("soft-link.h5", soft_link)
one_layer("external-link.h5", external_link)
one_layer("chunks.h5", chunks)
one_layer("many.h5", many, libver="latest")
one_layer("unwritten.h5", unwritten)
one_layer("integers.h5", integers)
one_layer("user-block.h5", types, userblock_size=512)

with open("h5py-files.json", "w") as file:
    json.dump({"keras-3.keras": keras_3(), "keras-2.h5": keras_2(),
               "newer-format.h5": keras_2("newer-format.h5", libver=("v108", "v108"))}, file, indent=1)
