"""Makes schedules.json: the rates of schedules step by step, walked with counters instead of computed from t.

python3 test/optimizers/schedules.py > test/optimizers/schedules.json
"""

import json
import math

COUNT = 60


def warmed(spec, rates):
    warmup = spec.get("warmup", 0)
    rising, total = [], 0.0
    for _ in range(warmup):
        total += spec["rate"] / warmup
        rising.append(total)
    return (rising + rates)[:COUNT]


def step(spec):
    rate, left, rates = spec["rate"], spec["every"], []
    for _ in range(COUNT):
        if left == 0:
            rate, left = rate * spec.get("factor", 0.1), spec["every"]
        left -= 1
        rates.append(max(rate, spec.get("end", 0)))
    return rates


def exponential(spec):
    rate, root, rates = spec["rate"], math.exp(math.log(spec["factor"]) / spec["every"]), []
    for _ in range(COUNT):
        rates.append(max(rate, spec.get("end", 0)))
        rate *= root
    return rates


def polynomial(spec):
    end, left, rates = spec.get("end", 0), spec["steps"], []
    for _ in range(COUNT):
        share = left / spec["steps"]
        rates.append(end if left == 0 else (spec["rate"] - end) * math.exp(spec.get("power", 1) * math.log(share)) + end)
        left = max(left - 1, 0)
    return rates


def half_cosine(spec, begin, end, share):
    return begin * math.cos(math.pi * share / 2) ** 2 + end * math.sin(math.pi * share / 2) ** 2


def cosine(spec):
    return [half_cosine(spec, spec["rate"], spec.get("end", 0), min(t / spec["steps"], 1)) for t in range(COUNT)]


def cosine_restarts(spec):
    end, begin, length, top, rates = spec.get("end", 0), 0, spec["steps"], spec["rate"], []
    for t in range(COUNT):
        while t - begin >= length:
            begin, length, top = begin + length, length * spec.get("growth", 1), top * spec.get("decay", 1)
        rates.append(half_cosine(spec, max(top, end), end, (t - begin) / length))
    return rates


def one_cycle(spec):
    # The phases of PyTorch's OneCycleLR: they end at these steps.
    start = spec.get("start", spec["rate"] / 25)
    end = spec.get("end", start / 1e4)
    first, last, rates = spec.get("rise", 0.3) * spec["steps"] - 1, spec["steps"] - 1, []
    for t in range(COUNT):
        if t <= first:
            rates.append(half_cosine(spec, start, spec["rate"], t / first))
        else:
            rates.append(half_cosine(spec, spec["rate"], end, min((t - first) / (last - first), 1)))
    return rates


MAKERS = {
    "constant": lambda spec: [spec["rate"]] * COUNT,
    "step": step,
    "exponential": exponential,
    "polynomial": polynomial,
    "cosine": cosine,
    "cosineRestarts": cosine_restarts,
    "oneCycle": one_cycle,
}

SPECS = [
    {"schedule": "constant", "rate": 0.3, "warmup": 8},
    {"schedule": "step", "rate": 0.3, "every": 7},
    {"schedule": "step", "rate": 0.3, "every": 5, "factor": 0.5, "end": 0.01, "warmup": 3},
    {"schedule": "exponential", "rate": 0.02, "every": 20, "factor": 0.25},
    {"schedule": "exponential", "rate": 0.02, "every": 3, "factor": 0.9, "end": 0.004, "warmup": 1},
    {"schedule": "polynomial", "rate": 0.1, "steps": 40},
    {"schedule": "polynomial", "rate": 0.1, "steps": 30, "power": 2.5, "end": 0.01, "warmup": 10},
    {"schedule": "cosine", "rate": 0.5, "steps": 50},
    {"schedule": "cosine", "rate": 0.5, "steps": 45, "end": 0.05, "warmup": 9},
    {"schedule": "cosineRestarts", "rate": 0.5, "steps": 9},
    {"schedule": "cosineRestarts", "rate": 0.5, "steps": 5, "growth": 2, "decay": 0.5, "end": 0.1, "warmup": 2},
    {"schedule": "cosineRestarts", "rate": 0.5, "steps": 6, "growth": 1.5, "decay": 0.8},
    {"schedule": "oneCycle", "rate": 1, "steps": 50},
    {"schedule": "oneCycle", "rate": 1, "steps": 41, "rise": 0.45, "start": 0.2, "end": 0.001},
]

print(json.dumps([{"schedule": spec, "rates": warmed(spec, MAKERS[spec["schedule"]](spec))} for spec in SPECS], separators=(",", ":")))
