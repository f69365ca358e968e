"""The intensity network in PyTorch, for comparison with react-model.

    python tests/peers/eri.py check                        against tests/fixtures/eri: outputs, missing modality, gradients
    python tests/peers/eri.py step 8 32 112                a training step of the full-size fusion: clips, frames, pixels

Prints a line of JSON for a measurement. PEER_THREADS (2) threads. Needs torch and numpy. Frames are normalised floats before the clock starts.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import tensors

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "eri"


def positions(t, d):
    angle = torch.arange(t)[:, None] * torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
    return torch.stack([angle.sin(), angle.cos()], -1).reshape(t, d)


def transformer(d, layers, dropout):
    layer = nn.TransformerEncoderLayer(d, 4, 2 * d, dropout, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.downsample = None if s == 1 and i == o else nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Backbone(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w)
        self.layer1 = nn.Sequential(Block(w, w, 1), Block(w, w, 1))
        self.layer2 = nn.Sequential(Block(w, 2 * w, 2), Block(2 * w, 2 * w, 1))
        self.layer3 = nn.Sequential(Block(2 * w, 4 * w, 2), Block(4 * w, 4 * w, 1))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        return self.layer3(self.layer2(self.layer1(x)))


class Tcn(nn.Module):
    def __init__(self, d, dilation):
        super().__init__()
        self.pad = 2 * dilation
        with_norm = lambda: nn.utils.weight_norm(nn.Conv1d(d, d, 3, dilation=dilation))
        self.conv1, self.conv2 = with_norm(), with_norm()
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        y = self.dropout(F.relu(self.conv1(F.pad(x, (self.pad, 0)))))
        y = self.dropout(F.relu(self.conv2(F.pad(y, (self.pad, 0)))))
        return F.relu(x + y)


class Temporal(nn.Module):
    def __init__(self, d, dropout=0.2):
        super().__init__()
        self.tcn = nn.Sequential(Tcn(d, 1), Tcn(d, 2), Tcn(d, 4))
        self.encoder = transformer(d, 4, dropout)

    def forward(self, x):
        x = self.tcn(x.transpose(1, 2)).transpose(1, 2)
        return self.encoder(x + positions(*x.shape[1:])).mean(1)


class Video(nn.Module):
    def __init__(self, w):
        super().__init__()
        d = 4 * w
        self.backbone, self.spatial, self.gate, self.temporal = Backbone(w), transformer(d, 2, 0.1), nn.Linear(d, 1), Temporal(d)

    def forward(self, x):
        b, t = x.shape[:2]
        x = self.backbone(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        x = self.spatial(x + positions(*x.shape[1:]))
        share = self.gate(x).softmax(1)
        return self.temporal((x * share).sum(1).reshape(b, t, -1)), share.squeeze(2)


class Audio(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.project, self.temporal = nn.Linear(40, d), Temporal(d)

    def forward(self, x):
        return self.temporal(self.project(x))


class Eri(nn.Module):
    def __init__(self, w, audio, video):
        super().__init__()
        d = 4 * w
        self.audio = Audio(d) if audio else None
        self.video = Video(w) if video else None
        self.head = nn.Sequential(nn.Linear(d * (audio + video), d), nn.ReLU(), nn.Dropout(0.3), nn.Linear(d, 7))

    def forward(self, frames, mfcc, keep=None):
        vectors = []
        if self.audio is not None:
            vectors.append(self.audio(mfcc))
        if self.video is not None:
            vectors.append(self.video(frames)[0])
        if keep is not None:
            vectors = [v * keep[:, i : i + 1] for i, v in enumerate(vectors)]
        return torch.sigmoid(self.head(torch.cat(vectors, 1)))


def normalise(frames_u8):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (frames_u8.float() / 255 - mean[:, None, None]) / std[:, None, None]


def loss(x, y):
    a, b = x - x.mean(0), y - y.mean(0)
    r = (a * b).sum(0) / ((a**2).sum(0) * (b**2).sum(0) + 1e-8).sqrt()
    return F.mse_loss(x, y) + 0.5 * (1 - r.mean())


def error(a, b):
    return float((a - b).norm() / b.norm())


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0


def check():
    for name, audio, video in [("audio", True, False), ("video", False, True), ("fusion", True, True)]:
        load = lambda part: {k: torch.from_numpy(v.copy()) for k, v in tensors.load(FIXTURES / f"eri_{name}.{part}.safetensors").items()}
        io, weights, grads = load("io"), load("weights"), load("grads")
        model = Eri(8, audio, video)
        model.load_state_dict(weights)
        without_dropout(model)
        frames, mfcc = (normalise(io["video_u8"]) if video else None), io.get("mfcc")
        model.eval()
        with torch.no_grad():
            worst = error(model(frames, mfcc), io["intensity"])
            if "keep_audio_video" in io:
                worst = max(worst, error(model(frames, mfcc, io["keep_audio_video"]), io["intensity_missing"]))
        model.train()
        loss(model(frames, mfcc), io["target"]).backward()
        worst_grad = max(error(p.grad, grads[k]) for k, p in model.named_parameters() if grads[k].norm() > 1e-5)
        assert worst < 1e-4 and worst_grad < 1e-3, (name, worst, worst_grad)
        print(f"{name}: outputs within {worst:.1e}, gradients within {worst_grad:.1e}")


def step(b, t, size):
    model = Eri(64, True, True)
    frames, mfcc = torch.randn(b, t, 3, size, size), torch.randn(b, 128, 40)
    target = torch.rand(b, 7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    best = math.inf
    for _ in range(int(os.environ.get("PEER_ROUNDS", "2"))):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss(model(frames, mfcc), target).backward()
        optimizer.step()
        best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": "eri step", "seconds": best, "frames": b * t, "peak_mb": peak}))


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("PEER_THREADS", "2")))
    if sys.argv[1:2] == ["check"]:
        check()
    elif sys.argv[1:2] == ["step"]:
        step(*map(int, sys.argv[2:5]))
    else:
        sys.exit(__doc__)
