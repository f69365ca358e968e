"""Writes tests/fixtures/scorer: small prediction sets in the forms that other programs save, and their published scores.

    python tests/peers/scorer_fixtures.py tests/fixtures/scorer

Needs numpy (2.x), scipy, tslearn. Three sets:
  stacked.*      one array of all clips: prediction [4,2,56,25] and listener, speaker [4,56,25] as .npy, matrix [4,4]
  clips.npz      one array a clip (np.savez): pred of clips of 56 to 60 frames, [2,T,25]; compressed: real.npz, heard.npz
  tensors        safetensors with named tensors
scores.json holds what the published algorithms (tests/peers/metrics.py) give for each.
"""

import json
import pathlib
import sys

import numpy as np
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import metrics


def reactions(rng, *shape, binary=True):
    """Smooth attributes in their ranges, AUs binary or between 0 and 1."""
    x = np.cumsum(rng.normal(size=(*shape, 25)), axis=-2) * 0.2
    x[..., :15] = x[..., :15] > 0.3 if binary else 1 / (1 + np.exp(-x[..., :15]))
    x[..., 15:17] = np.tanh(x[..., 15:17])
    e = np.exp(x[..., 17:])
    x[..., 17:] = e / e.sum(-1, keepdims=True)
    return x.astype(np.float32)


def save_safetensors(path, tensors):
    """The format by hand: the header's length, the header (JSON), the data."""
    header, data = {}, b""
    for name, x in tensors.items():
        kind = {"float32": "F32", "float64": "F64"}[x.dtype.name]
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def scores(p, l, s, m):
    """The published scores of clips of any lengths: pairs cut to the shorter, FRDvs to the common minimum."""
    n, k = len(p), len(p[0])
    cut = lambda a, b: (a[: min(len(a), len(b))], b[: min(len(a), len(b))])
    corr = dist = 0.0
    for i in range(n):
        for a in range(k):
            pairs = [cut(p[i][a], l[j]) for j in np.flatnonzero(m[i])]
            corr += max(np.mean([metrics.ccc(x[:, c], y[:, c]) for c in range(25)]) for x, y in pairs)
            dist += min(metrics.distance(x, y) for x, y in pairs)
    common = min(x.shape[1] for x in p)
    together = np.stack([x[:, :common] for x in p])
    together_with = [cut(p[i][0], s[i]) for i in range(n)]
    syn = [metrics.fr_syn(x[None, None], y[None]) for x, y in together_with]
    return {
        "FRCorr": corr / n,
        "FRDist": dist / n,
        "FRDiv": float(np.mean([metrics.fr_div(x[None]) for x in p])),
        "FRVar": float(np.mean([metrics.fr_var(x[None]) for x in p])),
        "FRDvs": float(metrics.fr_dvs(together)),
        "FRSyn": float(np.mean(syn)),
    }


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    np.seterr(all="ignore")
    rng = np.random.default_rng(7)
    double = lambda clips: [x.astype(np.float64) for x in clips]
    found = {}

    p, l, s = reactions(rng, 4, 2, 56, binary=False), reactions(rng, 4, 56), reactions(rng, 4, 56, binary=False)
    m = (np.eye(4) + (rng.random((4, 4)) < 0.3) > 0).astype(np.float64)
    for name, array in [("prediction", p), ("listener", l), ("speaker", s), ("neighbours", m)]:
        np.save(out / f"{name}.npy", array)
    found["stacked"] = scores(double(p), double(l), double(s), m)

    names = [f"NoXI/chat/Expert/{i}" for i in (1, 2, 10)]
    frames = [60, 56, 58]
    clips = [reactions(rng, 2, t) for t in frames]
    real = [reactions(rng, t + 2) for t in frames]
    heard = [reactions(rng, t - 3) for t in frames]
    m = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1]], dtype=bool)
    np.savez(out / "clips.npz", **dict(zip(names, clips)))
    np.savez_compressed(out / "real.npz", **dict(zip(names, real)))
    np.savez_compressed(out / "heard.npz", **dict(reversed(list(zip(names, heard)))))
    np.save(out / "clips_neighbours.npy", m)
    found["clips"] = scores(double(clips), double(real), double(heard), m)

    p = reactions(rng, 3, 1, 54).astype(np.float64)
    l, s = reactions(rng, 3, 54), reactions(rng, 3, 54)
    save_safetensors(out / "all.safetensors", {"prediction": p, "listener": l, "speaker": s})
    found["tensors"] = scores(double(p.astype(np.float32)), double(l), double(s), np.eye(3))

    (out / "scores.json").write_text(json.dumps({"numpy": np.__version__, "scores": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
