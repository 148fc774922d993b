#!/usr/bin/env python3
"""Golden mixtures of the activations that have no small case elsewhere: float64, forward and backward written out by hand.

  python3 mixtures.py            writes mmoe_sigmoid and mmoe_linear beside this file
  python3 mixtures.py CASE...    computes MMoE cases of one layer again, from their own inputs, and prints how far they are
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

ACTIVATIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, y: y * (1 - y)),
    "linear": (lambda z: z, lambda z, y: np.ones_like(z)),
    "tanh": (np.tanh, lambda z, y: 1 - y * y),
    "relu": (lambda z: np.maximum(z, 0), lambda z, y: (z > 0).astype(np.float64)),
}


def mixture(given, activation, experts, tasks):
    """Everything expected of an MMoE layer, from what it is given."""
    act, derivative = ACTIVATIONS[activation]
    g = {name: value.astype(np.float64) for name, value in given.items()}
    x = g["in/x"]
    found, dx = {}, np.zeros_like(x)
    z = [x @ g[f"w/expert.{e}.0.kernel"] + g[f"w/expert.{e}.0.bias"] for e in range(experts)]
    y = [act(value) for value in z]
    dy = [np.zeros_like(value) for value in y]
    for t in range(tasks):
        logits = x @ g[f"w/gate.{t}.0.kernel"] + g.get(f"w/gate.{t}.0.bias", 0)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        up = g[f"up/task.{t}"]
        found[f"out/gate.{t}"] = p
        found[f"out/task.{t}"] = sum(p[:, e : e + 1] * y[e] for e in range(experts))
        dp = np.stack([(up * y[e]).sum(axis=1) for e in range(experts)], axis=1)
        dlogits = p * (dp - (p * dp).sum(axis=1, keepdims=True))
        found[f"g/gate.{t}.0.kernel"] = x.T @ dlogits
        if f"w/gate.{t}.0.bias" in g:
            found[f"g/gate.{t}.0.bias"] = dlogits.sum(axis=0)
        dx += dlogits @ g[f"w/gate.{t}.0.kernel"].T
        for e in range(experts):
            dy[e] += p[:, e : e + 1] * up
    for e in range(experts):
        dz = dy[e] * derivative(z[e], y[e])
        found[f"g/expert.{e}.0.kernel"] = x.T @ dz
        found[f"g/expert.{e}.0.bias"] = dz.sum(axis=0)
        dx += dz @ g[f"w/expert.{e}.0.kernel"].T
    return {**found, "g/x": dx}


def draw(rows, width, units, experts, tasks, seed):
    random = np.random.default_rng(seed)
    shapes = {"in/x": (rows, width)}
    shapes |= {f"up/task.{t}": (rows, units) for t in range(tasks)}
    for e in range(experts):
        shapes |= {f"w/expert.{e}.0.kernel": (width, units), f"w/expert.{e}.0.bias": (units,)}
    for t in range(tasks):
        shapes |= {f"w/gate.{t}.0.kernel": (width, experts), f"w/gate.{t}.0.bias": (experts,)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def read(path):
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    kinds = {"F64": "<f8", "F32": "<f4", "I32": "<i4"}
    return {
        name: np.frombuffer(data[start:], kinds[entry["dtype"]], int(np.prod(entry["shape"])), entry["data_offsets"][0]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def write(path, tensors):
    """float64 first, so that everything is aligned."""
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, at = {}, 0
    for name in names:
        size = tensors[name].nbytes
        header[name] = {"dtype": f"F{8 * tensors[name].itemsize}", "shape": list(tensors[name].shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensors[name].tobytes() for name in names))


def check(path):
    cases = {case["id"]: case for case in json.loads((Path(path).parent / "index.json").read_text())["cases"]}
    tensors, config = read(path), cases[Path(path).stem]["config"]
    found = mixture(tensors, config["activation"], config["n_expert"], config["n_task"])
    assert set(found) == {name for name in tensors if name.startswith(("out/", "g/"))}
    worst = max(np.linalg.norm(found[name] - tensors[name]) / max(np.linalg.norm(tensors[name]), 1e-300) for name in found)
    print(f"{Path(path).stem}: {worst:.1e}")


if __name__ == "__main__":
    for case in sys.argv[1:]:
        check(case)
    if len(sys.argv) == 1:
        for seed, activation in enumerate(["sigmoid", "linear"], 1):
            given = draw(rows=3, width=4, units=3, experts=3, tasks=2, seed=seed)
            write(Path(__file__).parent / f"mmoe_{activation}.safetensors", given | mixture(given, activation, 3, 2))
