#!/usr/bin/env python3
"""Hashes of keys for split.test.ts, by the MurmurHash3 of scikit-learn: over the hashes of the values' texts, as little-endian words.

  python3 split-hashes.py    prints one line per key: [values], [hash with seed 0, 1, 42]
"""

import json
import struct

from sklearn.utils import murmurhash3_32

KEYS = [
    ["17"],
    ["0"],
    ["-3"],
    ["0.5"],
    ["u17"],
    ["é"],
    ["true"],
    ["2021-05-14"],
    ["2021-05-14 08:30:00"],
    ["9007199254740993"],
    ["17", "u17"],
    ["u17", "17"],
    ["17", None],
    ["17", "u17", "2021-05-14"],
]


def word(text):
    return struct.pack("<I", 0 if text is None else murmurhash3_32(text.encode(), 0, positive=True))


for key in KEYS:
    words = b"".join(map(word, key))
    print(json.dumps([key, [murmurhash3_32(words, seed, positive=True) for seed in (0, 1, 42)]], ensure_ascii=False))
