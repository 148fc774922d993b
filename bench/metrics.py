# Times scikit-learn's metrics on the rows that bench/metrics.mjs wrote. Prints JSON. The call of three with the least processor time counts.
import json
import sys
import time

import numpy
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

scores, labels = (numpy.fromfile(f"{sys.argv[1]}/{name}.f32", dtype=numpy.float32) for name in ("scores", "labels"))
found = []
for name, call in (("auc", roc_auc_score), ("prauc", average_precision_score), ("logloss", log_loss)):
    runs = []
    for _ in range(3):
        started, before = time.perf_counter(), time.process_time()
        value = float(call(labels, scores))
        runs.append((time.process_time() - before, time.perf_counter() - started))
    cpu, wall = min(runs)
    found.append({"name": name, "call": call.__name__, "value": value, "wall": wall, "cpu": cpu})
print(json.dumps(found))
