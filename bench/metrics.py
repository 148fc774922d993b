# Times scikit-learn's metrics on the rows that bench/metrics.mjs wrote. Prints JSON. The best of three calls counts.
import json
import sys
import time

import numpy
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

scores, labels = (numpy.fromfile(f"{sys.argv[1]}/{name}.f32", dtype=numpy.float32) for name in ("scores", "labels"))
found = []
for name, call in (("auc", roc_auc_score), ("prauc", average_precision_score), ("logloss", log_loss)):
    best = None
    for _ in range(3):
        started = time.perf_counter()
        value = float(call(labels, scores))
        spent = time.perf_counter() - started
        best = spent if best is None else min(best, spent)
    found.append({"name": name, "call": call.__name__, "value": value, "seconds": best})
print(json.dumps(found))
