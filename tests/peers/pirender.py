"""PIRender in PyTorch, for comparison with react-model: the same three nets, as the published program runs them.

    python tests/peers/pirender.py check            against tests/fixtures/pirender
    python tests/peers/pirender.py speed 8          frames of 256×256 at published sizes: a line of JSON
    python tests/peers/pirender.py cross FILE       against what `bench_pirender cross FILE` wrote: published sizes, weights by a formula

PEER_THREADS (2) threads; PEER_BATCH (4) frames go through together. Needs torch and numpy.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tensors

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "pirender"
SIZE, CLIP, RADIUS = 256, 40, 13
act = lambda x: F.leaky_relu(x, 0.1)


class Mapping(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.pre, self.first = nn.Conv1d(58, 73, 1), nn.Sequential(nn.Conv1d(73, d, 7))
        for i in range(3):
            setattr(self, f"encoder{i}", nn.Sequential(nn.LeakyReLU(0.1), nn.Conv1d(d, d, 3, dilation=3)))

    def forward(self, x):
        x = self.first(self.pre(x))
        for i in range(3):
            x = getattr(self, f"encoder{i}")(x) + x[:, :, 3:-3]
        return x.mean(-1)


class AdaIN(nn.Module):
    def __init__(self, c, d):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Linear(d, 128), nn.ReLU())
        self.mlp_gamma, self.mlp_beta = nn.Linear(128, c), nn.Linear(128, c)

    def forward(self, x, z):
        h = self.mlp_shared(z)
        return F.instance_norm(x) * (1 + self.mlp_gamma(h)[..., None, None]) + self.mlp_beta(h)[..., None, None]


class LayerNorm2d(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(c, 1, 1)), nn.Parameter(torch.zeros(c, 1, 1))

    def forward(self, x):
        shape = x.shape[1:]
        return F.layer_norm(x, shape, self.weight.expand(shape), self.bias.expand(shape))


class EncoderBlock(nn.Module):
    def __init__(self, i, o, d):
        super().__init__()
        self.conv_0, self.conv_1 = nn.Conv2d(i, o, 4, 2, 1), nn.Conv2d(o, o, 3, 1, 1)
        self.norm_0, self.norm_1 = AdaIN(i, d), AdaIN(o, d)

    def forward(self, x, z):
        return self.conv_1(act(self.norm_1(self.conv_0(act(self.norm_0(x, z))), z)))


class DecoderBlock(nn.Module):
    def __init__(self, i, o, d):
        super().__init__()
        self.conv_0 = nn.Conv2d(i, o, 3, 1, 1)
        self.conv_1, self.conv_s = nn.ConvTranspose2d(o, o, 3, 2, 1, 1), nn.ConvTranspose2d(i, o, 3, 2, 1, 1)
        self.norm_0, self.norm_1, self.norm_s = AdaIN(i, d), AdaIN(o, d), AdaIN(i, d)

    def forward(self, x, z):
        y = self.conv_0(act(self.norm_0(x, z)))
        return self.conv_1(act(self.norm_1(y, z))) + self.conv_s(act(self.norm_s(x, z)))


class Warping(nn.Module):
    def __init__(self, d, base, most, encoders, decoders):
        super().__init__()
        width = lambda i: min(base * 2**i, most)
        self.encoders, self.decoders = encoders, range(encoders - decoders, encoders)[::-1]
        self.hourglass = nn.Module()
        self.hourglass.encoder, self.hourglass.decoder = nn.Module(), nn.Module()
        self.hourglass.encoder.input_layer = nn.Conv2d(3, width(0), 7, 1, 3)
        for i in range(encoders):
            self.hourglass.encoder.add_module(f"encoder{i}", EncoderBlock(width(i), width(i + 1), d))
        for i in self.decoders:
            twice = 1 if i == encoders - 1 else 2
            self.hourglass.decoder.add_module(f"decoder{i}", DecoderBlock(twice * width(i + 1), width(i), d))
        c = 2 * width(encoders - decoders)
        self.flow_out = nn.Sequential(LayerNorm2d(c), nn.LeakyReLU(0.1), nn.Conv2d(c, 2, 7, 1, 3))

    def forward(self, image, z):
        maps = [self.hourglass.encoder.input_layer(image)]
        for i in range(self.encoders):
            maps.append(getattr(self.hourglass.encoder, f"encoder{i}")(maps[-1], z))
        x = maps.pop()
        for i in self.decoders:
            x = torch.cat([getattr(self.hourglass.decoder, f"decoder{i}")(x, z), maps.pop()], 1)
        return self.flow_out(x)


def warp(image, flow):
    h, w = flow.shape[2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    grid = torch.stack([x, y]) + 2 * flow / torch.tensor([w - 1.0, h - 1.0])[:, None, None]
    grid = F.interpolate(grid, image.shape[2:], mode="bilinear", align_corners=False)
    return F.grid_sample(image, grid.permute(0, 2, 3, 1), align_corners=False)


class ConvNorm(nn.Module):
    def __init__(self, i, o, k):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(i, o, k, 1, k // 2), LayerNorm2d(o))

    def forward(self, x):
        return act(self.model(x))


class Block(nn.Module):
    def __init__(self, c, d):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, c, 3, 1, 1), nn.Conv2d(c, c, 3, 1, 1)
        self.norm1, self.norm2 = AdaIN(c, d), AdaIN(c, d)

    def forward(self, x, z):
        return x + self.norm2(self.conv2(x), z)


class Editing(nn.Module):
    def __init__(self, d, base, most, layers, blocks):
        super().__init__()
        width = lambda i: min(base * 2**i, most)
        self.layers, self.blocks, self.encoder, self.decoder = layers, blocks, nn.Module(), nn.Module()
        self.encoder.first = ConvNorm(6, base, 7)
        for i in range(layers):
            self.encoder.add_module(f"down{i}", ConvNorm(width(i), width(i + 1), 3))
            self.decoder.add_module(f"up{i}", ConvNorm(width(i + 1), width(i), 3))
            self.decoder.add_module(f"jump{i}", ConvNorm(width(i), width(i), 3))
            res = nn.Module()
            for j in range(blocks):
                res.add_module(f"res{j}", Block(width(i + 1), d))
            self.decoder.add_module(f"res{i}", res)
        self.decoder.final = nn.Module()
        self.decoder.final.model = nn.Sequential(nn.Conv2d(base, 3, 7, 1, 3))

    def forward(self, image, warped, z):
        maps = [self.encoder.first(torch.cat([image, warped], 1))]
        for i in range(self.layers):
            maps.append(F.avg_pool2d(getattr(self.encoder, f"down{i}")(maps[-1]), 2))
        x = maps.pop()
        for i in reversed(range(self.layers)):
            for j in range(self.blocks):
                x = getattr(getattr(self.decoder, f"res{i}"), f"res{j}")(x, z)
            x = getattr(self.decoder, f"up{i}")(F.interpolate(x, scale_factor=2)) + getattr(self.decoder, f"jump{i}")(maps.pop())
        return self.decoder.final.model(x).tanh()


class PiRender(nn.Module):
    def __init__(self, d=256, warping=(32, 256, 5, 3), editing=(64, 256, 3, 2)):
        super().__init__()
        self.mapping_net, self.warpping_net, self.editing_net = Mapping(d), Warping(d, *warping), Editing(d, *editing)

    def forward(self, image, windows):
        z = self.mapping_net(windows)
        flow = self.warpping_net(image, z)
        warped = warp(image, flow)
        return z, flow, warped, self.editing_net(image, warped, z)


def noise(j, n):
    with np.errstate(over="ignore"):
        x = np.arange(n, dtype=np.uint32) * np.uint32(747796405) + np.uint32((j * 2891336453 + 1) & 0xFFFFFFFF)
        for _ in range(2):
            x = (x ^ (x >> np.uint32(16))) * np.uint32(0x45D9F3B)
        x ^= x >> np.uint32(16)
    return (x.astype(np.float64) / 4294967296.0 - 0.5).astype(np.float32)


def by_formula():
    net = PiRender().eval()
    for j, (name, p) in enumerate(sorted(net.state_dict().items())):
        if p.dim() == 3 and p.shape[1:] == (1, 1) and name.endswith("weight"):
            scale, shift = 0.2, 1.0
        elif p.dim() == 1 or p.shape[1:] == (1, 1):
            scale, shift = 0.1, 0.0
        else:
            scale, shift = math.sqrt(12.0 / p[0].numel()), 0.0
        p.copy_(torch.from_numpy(noise(j, p.numel()) * np.float32(scale) + np.float32(shift)).view_as(p))
    return net


def photograph():
    y, x, c = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    picture = (128.0 + 100.0 * np.sin(y * (c + 2) / 40.0) * np.cos(x / 31.0)).astype(np.uint8)
    return torch.from_numpy(picture.astype(np.float32) / 127.5 - 1.0).permute(2, 0, 1)[None].contiguous()


def windows(frames, wanted):
    coeffs = torch.from_numpy(noise(1000, frames * 58).reshape(frames, 58))
    index = [[min(max(t + i, 0), frames - 1) for i in range(-RADIUS, RADIUS + 1)] for t in wanted]
    return coeffs[torch.tensor(index)].transpose(1, 2).contiguous()


def check():
    io = {name: torch.from_numpy(x.copy()) for name, x in tensors.load(FIXTURES / "pirender_small.io.safetensors").items()}
    net = PiRender(16, (4, 16, 3, 2), (4, 16, 2, 2)).eval()
    net.load_state_dict({n: torch.from_numpy(x.copy()) for n, x in tensors.load(FIXTURES / "pirender_small.weights.safetensors").items()})
    found = net(io["input_image"], io["driving_source"])
    for name, x in zip(["descriptor", "flow_field", "warp_image", "fake_image"], found):
        difference = (x - io[name].view_as(x)).abs().max().item()
        assert difference < 1e-4, f"{name}: {difference}"


def cross(file):
    ours = tensors.load(file)
    net, image = by_formula(), photograph()
    most = {}
    for t in sorted({int(name.split(".")[0]) for name in ours}):
        found = dict(zip(["descriptor", "flow", "warped", "frame"], net(image, windows(CLIP, [t]))))
        for name, x in found.items():
            x = x[0].permute(1, 2, 0) if x.dim() == 4 else x[0]
            difference = np.abs(x.numpy() - ours[f"{t}.{name}"]).max()
            most[name] = max(most.get(name, 0.0), float(difference))
            most[f"{name}_std"] = float(x.std())
    print(json.dumps({"case": "pirender-cross", **most}))


def speed(frames):
    net, image, batch = by_formula(), photograph(), int(os.environ.get("PEER_BATCH", "4"))

    def run():
        for first in range(0, frames, batch):
            wanted = range(first, min(first + batch, frames))
            picture = net(image.expand(len(wanted), -1, -1, -1), windows(frames, wanted))[-1]
            ((picture + 1) * 127.5).round().to(torch.uint8)

    run()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": "pirender", "seconds": seconds, "frames": frames, "peak_mb": peak}))


def main():
    torch.set_num_threads(int(os.environ.get("PEER_THREADS", "2")))
    with torch.no_grad():
        match sys.argv[1:]:
            case ["check"]:
                check()
            case ["cross", file]:
                cross(file)
            case ["speed", frames]:
                speed(int(frames))
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    main()
