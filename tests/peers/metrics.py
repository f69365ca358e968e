"""The challenge's published algorithms with NumPy, SciPy and tslearn, for comparison with react-metrics.

    cargo xtask bench metrics                                   (both, side by side)
    python tests/peers/metrics.py DIR [--dist-pairs 64] [--json]

Needs numpy, scipy and tslearn (with numba); nothing of this project. Reads prediction, listener, speaker and neighbours (.npy) from
DIR, prints each metric's value and processor time. FRDist times a share of its warps (--dist-pairs, 0 for all) and says what all would
take; its value is then not given. One process, as in a worker of the published program, which spreads FRCorr and FRDist over processes.
It is leaner than the published program (which converts to tensors and back within its loops), so a ratio to it is on the safe side.
"""

import argparse
import json
import time

import numpy as np
from scipy.spatial.distance import cdist
from tslearn.metrics import dtw


def ccc(x, y):
    r = np.corrcoef(x, y)[0, 1]
    r = 0.0 if np.isnan(r) else r
    sx, sy = np.std(x), np.std(y)
    return 2 * r * sx * sy / (sx**2 + sy**2 + (np.mean(x) - np.mean(y)) ** 2 + 1e-8)


def fr_corr(p, l, m):
    total = 0.0
    for i in range(len(p)):
        for k in range(p.shape[1]):
            total += max(np.mean([ccc(p[i, k, :, c], l[j, :, c]) for c in range(25)]) for j in np.flatnonzero(m[i]))
    return total / len(p)


def distance(a, b):
    return dtw(a[:, :15], b[:, :15]) / 15 + dtw(a[:, 15:17], b[:, 15:17]) + dtw(a[:, 17:], b[:, 17:]) / 8


def fr_div(p):
    n, k, t, c = p.shape
    if k == 1:
        return 0.0
    return sum((cdist(x.reshape(k, -1), x.reshape(k, -1)) ** 2).sum() / (k * (k - 1) * t * c) for x in p) / n


def fr_var(p):
    return p.var(axis=2, ddof=1).mean()


def fr_dvs(p):
    n, k, t, c = p.shape
    return sum((cdist(p[:, s].reshape(n, -1), p[:, s].reshape(n, -1)) ** 2).sum() for s in range(k)) / (n * (n - 1) * k * t * c)


def fr_syn(p, s, lags=49):
    total = 0.0
    for i in range(len(p)):
        means = []
        for lag in range(-lags, lags + 1):
            a, b = (p[i, 0, lag:], s[i, : len(s[i]) - lag]) if lag >= 0 else (p[i, 0, :lag], s[i, -lag:])
            means.append(np.mean([np.corrcoef(a[:, c], b[:, c])[0, 1] for c in range(25)]))
        total += abs(int(np.argmax(means)) - lags)
    return total / len(p)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--dist-pairs", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    np.seterr(all="ignore")
    load = lambda name: np.load(f"{args.folder}/{name}.npy")
    p, l, s, m = (load(name).astype(np.float64) for name in ("prediction", "listener", "speaker", "neighbours"))
    seconds, values = {}, {}
    for name, f in [
        ("FRCorr", lambda: fr_corr(p, l, m)),
        ("FRDiv", lambda: fr_div(p)),
        ("FRVar", lambda: fr_var(p)),
        ("FRDvs", lambda: fr_dvs(p)),
        ("FRSyn", lambda: fr_syn(p, s)),
    ]:
        start = time.process_time()
        values[name] = float(f())
        seconds[name] = time.process_time() - start

    pairs = [(i, k, j) for i in range(len(p)) for k in range(p.shape[1]) for j in np.flatnonzero(m[i])]
    distance(p[0, 0], l[0])  # compiles
    chosen = pairs if args.dist_pairs == 0 else pairs[:: max(1, len(pairs) // args.dist_pairs)]
    start = time.process_time()
    best = {}
    for i, k, j in chosen:
        best[i, k] = min(best.get((i, k), np.inf), distance(p[i, k], l[j]))
    seconds["FRDist"] = (time.process_time() - start) / len(chosen) * len(pairs)
    if len(chosen) == len(pairs):
        values["FRDist"] = sum(best.values()) / len(p)

    total = sum(seconds.values())
    if args.json:
        print(json.dumps({"seconds": seconds, "values": values, "total": total, "pairs": len(pairs)}))
        return
    for name, took in seconds.items():
        print(f"{name:8} {values.get(name, '(sampled)')}  {took:.3f} s")
    print(f"FRDist: {1e3 * seconds['FRDist'] / len(pairs):.2f} ms for each of {len(pairs)} pairs")
    print(f"in all   {total:.3f} s")


if __name__ == "__main__":
    main()
