# Writes scikit-values.json: metrics of small random rows, as scikit-learn computes them. Run by hand: python3 test/metrics/scikit_values.py
# The file names the version that wrote it. Tests read the file and need no Python.
import json
import pathlib

import numpy
import sklearn
from sklearn.metrics import average_precision_score, log_loss, ndcg_score, roc_auc_score

random = numpy.random.default_rng(17)
cases = []
for number in range(12):
    rows = int(random.integers(20, 60))
    # Few distinct scores: many ties. In float32, as the library holds them.
    scores = (random.integers(1, 8 if number % 2 else 1000, rows) / 1000).astype(numpy.float32)
    labels = (random.random(rows) < 0.4).astype(numpy.float32)
    weights = random.integers(1, 6, rows).astype(numpy.float32) / 2
    groups = random.integers(0, 6, rows)
    labels[:2] = [0, 1]
    own = [groups == group for group in numpy.unique(groups)]
    both = [rows_of for rows_of in own if len(set(labels[rows_of])) == 2]
    positive = [rows_of for rows_of in own if labels[rows_of].any() and rows_of.sum() > 1]
    # ndcg_score refuses lists of one row; those with a positive row have the value 1.
    alone = sum(1 for rows_of in own if labels[rows_of].any() and rows_of.sum() == 1)

    def ndcg(k):
        lists = [ndcg_score(labels[rows_of][None], scores[rows_of][None], k=k) for rows_of in positive]
        return float((sum(lists) + alone) / (len(lists) + alone))

    areas = [float(roc_auc_score(labels[rows_of], scores[rows_of])) for rows_of in both]
    wide = scores.astype(numpy.float64)
    shares = numpy.full(rows, numpy.average(labels, weights=weights), dtype=numpy.float64)
    cases.append(
        {
            "scores": scores.tolist(),
            "labels": labels.tolist(),
            "weights": weights.tolist(),
            "groups": groups.tolist(),
            "expected": {
                "auc": float(roc_auc_score(labels, scores)),
                "prauc": float(average_precision_score(labels, scores)),
                "logloss": float(log_loss(labels, wide)),
                "ndcg": ndcg(None),
                "ndcg@3": ndcg(3),
                "uauc": float(numpy.mean(areas)) if areas else None,
                "gauc": float(numpy.average(areas, weights=[rows_of.sum() for rows_of in both])) if areas else None,
            },
            "weighted": {
                "auc": float(roc_auc_score(labels, scores, sample_weight=weights)),
                "prauc": float(average_precision_score(labels, scores, sample_weight=weights)),
                "logloss": float(log_loss(labels, wide, sample_weight=weights)),
                "ne": float(log_loss(labels, wide, sample_weight=weights) / log_loss(labels, shares, sample_weight=weights)),
            },
        }
    )
path = pathlib.Path(__file__).with_name("scikit-values.json")
path.write_text(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}) + "\n")
