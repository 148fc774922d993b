"""Losses, gradients and predictions of heads, row by row, in 60 digits (mpmath), rounded to float64.

    python3 losses.py > losses.json && npx biome format --write losses.json

The losses are written from their definitions, and the gradients are numerical derivatives of them. Inputs are float32 numbers.
"""

import json
import struct

from mpmath import mp, mpf, cosh, diff, exp, fabs, log, pi, sqrt

mp.dps = 60


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def sigmoid(z):
    return 1 / (1 + exp(-z))


def safe_exp(t):
    """e^t up to 80, then its tangent there."""
    return exp(t) if t <= 80 else exp(mpf(80)) * (1 + t - 80)


def softplus(z):
    return log(1 + exp(z)) if z < 1000 else z + exp(-z)


def focal(gamma):
    def loss(z, y):
        # log p is -softplus(-z), also where p is 0 in 60 digits.
        p, q = sigmoid(z[0]), sigmoid(-z[0])
        return y * q**gamma * softplus(-z[0]) + (1 - y) * p**gamma * softplus(z[0])

    return loss


def quantile(q):
    return lambda z, y: q * (y - z[0]) if y > z[0] else (1 - q) * (z[0] - y)


def huber(delta):
    def loss(z, y):
        d = fabs(z[0] - y)
        return d * d / 2 if d <= delta else delta * (d - mpf(delta) / 2)

    return loss


def tweedie(power):
    """Minus the part of the log-density that depends on the mean e^z, for a dispersion of 1."""
    return lambda z, y: safe_exp((2 - mpf(power)) * z[0]) / (2 - mpf(power)) - y * safe_exp((1 - mpf(power)) * z[0]) / (1 - mpf(power))


def log_cosh(z, y):
    d = fabs(z[0] - y)
    return log(cosh(d)) if d < 1000 else d - log(mpf(2))


def deviation(raw):
    return softplus(raw) + mpf(1) / 1024


def ziln(z, y):
    if y == 0:
        return softplus(z[0])
    sigma = deviation(z[2])
    density = exp(-((log(y) - z[1]) ** 2) / (2 * sigma**2)) / (y * sigma * sqrt(2 * pi))
    # A density that is 0 even in 60 digits has a logarithm.
    log_density = log(density) if density > 0 else -((log(y) - z[1]) ** 2) / (2 * sigma**2) - log(y * sigma * sqrt(2 * pi))
    return softplus(-z[0]) - log_density


def ordinal(z, y):
    return sum(softplus(-one) if y > i else softplus(one) for i, one in enumerate(z)) / len(z)


def order(factor):
    return lambda z, y: mpf(factor) * max(mpf(0), sigmoid(z[0]) - sigmoid(z[1]))


numbers = [0, 0.3, -1.7, 5, -5.25, 30, -30, 1e4, -1e4]
counts = [0, 0.3, -1.7, 5, -5.25, 30, -30, 100, -200]
steps, unit, first = [3, 0, 7, 1], 0.25, -1.5

# name, options of the head, loss, signals, labels, prediction
cases = [
    ("focal 2", {"gamma": 2}, focal(2), [[z] for z in numbers], [0, 1, 0.25], None),
    ("focal 0.5", {"gamma": 0.5}, focal(mpf(0.5)), [[z] for z in numbers], [0, 1, 0.25], None),
    ("absolute", {"loss": "absolute"}, lambda z, y: fabs(z[0] - y), [[z] for z in numbers], [0.5, -2, 1e4 + 1], None),
    ("huber", {"loss": "huber", "parameter": 0.75}, huber(0.75), [[z] for z in numbers], [0.5, -2, 1e4 + 0.5], None),
    ("logCosh", {"loss": "logCosh"}, log_cosh, [[z] for z in numbers], [0.5, -2, 1e4 + 0.5], None),
    ("quantile 0.9", {"loss": "quantile", "parameter": 0.875}, quantile(0.875), [[z] for z in numbers], [0.5, -2, 1e4 + 1], None),
    ("poisson", {"loss": "poisson"}, lambda z, y: safe_exp(z[0]) - y * z[0], [[z] for z in counts], [0, 1, 7.5], lambda z: exp(min(z[0], mpf(88)))),
    ("tweedie", {"loss": "tweedie", "parameter": 1.25}, tweedie(1.25), [[z] for z in counts], [0, 1, 7.5], lambda z: exp(min(z[0], mpf(88)))),
    (
        "ziln",
        {"form": "ziln"},
        ziln,
        [[0, 0, 0], [1.5, 2, -1], [-3, -1, 2.5], [40, 3, -30], [-40, 0.5, 12], [1e4, 1, 1], [-1e4, 90, 1], [0.5, -1e4, 1e4]],
        [0, 1, 0.001, 250],
        lambda z: sigmoid(z[0]) * exp(min(z[1] + deviation(z[2]) ** 2 / 2, mpf(88))),
    ),
    (
        "buckets",
        {"form": "buckets", "steps": steps, "unit": unit, "first": first},
        ordinal,
        [[0, 0, 0, 0], [3, 1, -1, -3], [-2, 0.5, 40, -40], [1e4, 1e4, -1e4, -1e4], [30, 20, 10, 1]],
        [0, 1, 2, 4],
        lambda z: mpf(first) + mpf(unit) * sum(step * sigmoid(one) for step, one in zip(steps, z)),
    ),
    ("order", {"factor": 0.5}, order(0.5), [[1, 0.5], [0.5, 1], [-3, -8], [20, 18], [1e4, 3], [1e4, -1e4], [-1e4, 3], [40, 30]], [0, 1], None),
]


def row(loss, z, y, predict):
    z, y = [mpf(single(one)) for one in z], mpf(single(y))
    gradient = [diff(lambda t: loss(z[:i] + [t] + z[i + 1 :], y), z[i], h=mpf(10) ** -25) for i in range(len(z))]
    own = {"z": [float(one) for one in z], "y": float(y), "loss": float(loss(z, y)), "gradient": [float(one) for one in gradient]}
    return own if predict is None else {**own, "prediction": float(predict(z))}


print("[")
for number, (name, head, loss, signals, labels, predict) in enumerate(cases):
    rows = [row(loss, z, y, predict) for z in signals for y in labels]
    text = ",\n  ".join(json.dumps(one) for one in rows)
    print(f' {{"name": {json.dumps(name)}, "head": {json.dumps(head)}, "rows": [\n  {text}]}}' + ("," if number + 1 < len(cases) else ""))
print("]")
