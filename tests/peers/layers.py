"""PyTorch's numbers for react-model's layers: makes tests/fixtures/layers/layers.safetensors.

    python tests/peers/layers.py

Each case holds its inputs, PyTorch's parameters under PyTorch's names (`p.`), the result `out`, the weights `r` of a loss Σ r·out and
its gradients (`grad.`). Pictures are channels first, as PyTorch has them. Needs torch and numpy.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tensors

HERE = Path(__file__).resolve().parent
CASES = {}


def case(name, run, inputs, module=None, extra=None):
    """Runs `run(*inputs)`, and keeps numbers and gradients."""
    leaves = {key: value.clone().requires_grad_(value.is_floating_point()) for key, value in inputs.items()}
    out = run(*leaves.values())
    r = torch.randn(out.shape)
    (out * r).sum().backward()
    kept = {**inputs, **(extra or {}), "out": out, "r": r}
    for key, leaf in leaves.items():
        if leaf.grad is not None:
            kept[f"grad.{key}"] = leaf.grad
    for key, p in module.named_parameters() if module else []:
        kept[f"p.{key}"] = p
        kept[f"grad.p.{key}"] = p.grad
    CASES.update({f"{name}/{key}": value.detach().numpy() for key, value in kept.items()})


def scattered(module):
    """Biases and norms away from 0 and 1, so that a mix-up shows."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return module


def linear_and_norm():
    layer = scattered(nn.Linear(6, 5))
    case("linear", layer, {"x": torch.randn(2, 7, 6)}, layer)
    layer = scattered(nn.LayerNorm(6))
    case("layer_norm", layer, {"x": 2 * torch.randn(2, 7, 6) + 1}, layer)


def attention():
    layer = scattered(nn.MultiheadAttention(8, 2, batch_first=True))
    x, memory, lengths = torch.randn(3, 5, 8), torch.randn(3, 7, 8), torch.tensor([7, 3, 1])
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    padded = torch.arange(5)[None] >= lengths.clamp(max=5)[:, None]
    absent = torch.arange(7)[None] >= lengths[:, None]
    extra = {"lengths": lengths}
    for name, options in [
        ("attention", {}),
        ("attention_causal", {"attn_mask": causal}),
        ("attention_padded", {"key_padding_mask": padded}),
        ("attention_both", {"attn_mask": causal, "key_padding_mask": padded}),
    ]:
        layer.zero_grad()
        case(name, lambda x: layer(x, x, x, need_weights=False, **options)[0], {"x": x}, layer, extra)
    for name, options in [("attention_memory", {}), ("attention_memory_padded", {"key_padding_mask": absent})]:
        layer.zero_grad()
        case(name, lambda x, m: layer(x, m, m, need_weights=False, **options)[0], {"x": x, "memory": memory}, layer, extra)


def transformer():
    lengths = torch.tensor([6, 4])
    padded = torch.arange(6)[None] >= lengths[:, None]
    causal = torch.ones(6, 6, dtype=torch.bool).triu(1)
    for first in [False, True]:
        order = "pre" if first else "post"
        options = {"dropout": 0.0, "batch_first": True, "norm_first": first}
        encoder = scattered(nn.TransformerEncoderLayer(8, 2, 12, **options))
        x, memory = torch.randn(2, 6, 8), torch.randn(2, 3, 8)
        case(f"encoder_{order}", encoder, {"x": x}, encoder)
        encoder.zero_grad()
        case(f"encoder_{order}_padded", lambda x: encoder(x, src_key_padding_mask=padded), {"x": x}, encoder, {"lengths": lengths})
        decoder = scattered(nn.TransformerDecoderLayer(8, 2, 12, **options))
        case(f"decoder_{order}", lambda x, m: decoder(x, m, tgt_mask=causal), {"x": x, "memory": memory}, decoder)


def lstm():
    layer = nn.LSTM(5, 6, batch_first=True)
    x, h0, c0 = torch.randn(3, 9, 5), torch.randn(3, 6), torch.randn(3, 6)
    case("lstm", lambda x, h, c: layer(x, (h[None], c[None]))[0], {"x": x, "h0": h0, "c0": c0}, layer)
    layer.zero_grad()
    case("lstm_from_zero", lambda x: layer(x)[0], {"x": x}, layer)


def convolution():
    for name, (kernel, stride, padding, bias, shape) in {
        "conv3d": ((3, 3, 3), (1, 1, 1), (1, 1, 1), True, (2, 3, 5, 7, 6)),
        "conv3d_strided": ((3, 5, 2), (2, 2, 1), (1, 2, 0), True, (2, 4, 6, 9, 8)),
        "conv3d_per_frame": ((1, 3, 3), (1, 2, 2), (0, 1, 1), False, (2, 4, 3, 9, 8)),
        "conv3d_in_time": ((4, 1, 1), (3, 1, 1), (2, 0, 0), False, (1, 2, 7, 4, 3)),
    }.items():
        layer = nn.Conv3d(shape[1], 6, kernel, stride, padding, bias=bias)
        case(name, layer, {"x": torch.randn(shape)}, layer, {"sizes": torch.tensor([kernel, stride, padding])})
    layer = nn.Conv3d(3, 4, (3, 3, 3), (1, 2, 2), 1, bias=False)
    frames = torch.randint(0, 256, (1, 3, 4, 8, 7), dtype=torch.uint8)
    case("conv3d_bytes", lambda x: layer((x.float() / 255 - 0.5) / 0.5), {"x": frames}, layer)


def blocks():
    """Convolution → InstanceNorm → ReLU and what follows, as in the video encoder."""
    x = torch.randn(2, 4, 3, 9, 8)
    for name, tail in {
        "block_relu": lambda x, z: z,
        "block_add": lambda x, z: x + z,
        "block_pool": lambda x, z: F.max_pool3d(z, (1, 3, 3), (1, 2, 2)),
    }.items():
        layer = nn.Conv3d(4, 4, (1, 3, 3), 1, (0, 1, 1), bias=False)
        case(name, lambda x: tail(x, F.relu(F.instance_norm(layer(x)))), {"x": x}, layer)


def pooling():
    x = torch.randn(2, 3, 6, 9, 8).mul(2).round().div(2)
    for name, sizes in {
        "pool3d": ((2, 3, 3), (2, 2, 2), (1, 1, 1)),
        "pool3d_overlapping": ((3, 2, 3), (1, 1, 1), (0, 0, 1)),
        "pool3d_per_frame": ((1, 3, 3), (1, 2, 2), (0, 0, 0)),
    }.items():
        case(name, lambda x: F.max_pool3d(x, *sizes), {"x": x}, extra={"sizes": torch.tensor(sizes)})


def main():
    torch.manual_seed(5)
    torch.use_deterministic_algorithms(True)
    for make in [linear_and_norm, attention, transformer, lstm, convolution, blocks, pooling]:
        make()
    folder = HERE.parent / "fixtures" / "layers"
    tensors.save(folder / "layers.safetensors", {name: np.ascontiguousarray(value) for name, value in CASES.items()})


if __name__ == "__main__":
    main()
