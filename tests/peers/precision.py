"""How far PyTorch's own gradients are from the reference vectors below f32: what no program can be asked to beat.

    python tests/peers/precision.py cpu          factors of convolutions rounded to TF32 by hand, and autocast to bf16
    python tests/peers/precision.py cuda         the card's TF32, and autocast

The largest distance |a - b| / |b| of any parameter's gradient, as crates/react-model/tests/cuda.rs has it; one line of JSON each. Where
a convolution is followed by a normalisation and an average over its pixels, its gradient is the small remainder of large sums.
"""

import json
import sys

import torch
from torch import nn

import eri
import model
import tensors

PLAIN = {kind: kind._conv_forward for kind in (nn.Conv2d, nn.Conv3d)}


def tf32(x):
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


class Rounded(torch.autograd.Function):
    """A convolution whose factors are rounded on their way in, in each direction."""

    @staticmethod
    def forward(ctx, x, w, stride, padding):
        x, w, n = tf32(x), tf32(w), len(stride)
        ctx.save_for_backward(x, w)
        ctx.shape = (stride, padding, [1] * n, False, [0] * n, 1)
        return torch.ops.aten.convolution(x, w, None, *ctx.shape)

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        dx, dw, _ = torch.ops.aten.convolution_backward(tf32(grad), x, w, None, *ctx.shape, [True, True, False])
        return dx, dw, None, None


def set_precision(precision, device):
    on_card = precision == "tf32" and device == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on_card
    by_hand = lambda self, x, w, _: Rounded.apply(x, w, self.stride, self.padding)
    for kind, plain in PLAIN.items():
        kind._conv_forward = by_hand if precision == "tf32" and device == "cpu" else plain
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


def farthest(network, want):
    found = [(name, p.grad, want[name]) for name, p in network.named_parameters() if name in want and p.grad is not None]
    return max(((a - b).norm() / b.norm()).item() for _, a, b in found if b.norm() > 1e-5)


def vectors(folder, name, device):
    files = [tensors.load(folder / f"{name}.{part}.safetensors") for part in ("io", "weights", "grads")]
    return [{key: torch.from_numpy(value.copy()).to(device) for key, value in file.items()} for file in files]


def transvae(name, window, precision, device):
    io, weights, want = vectors(model.FIXTURES, name, device)
    network = model.TransVae(32, window, dropout=0.0)
    network.load_state_dict(weights)
    frames, audio = (io["speaker_video_u8"].float() / 255 - 0.5) / 0.5, io["speaker_audio"]
    with set_precision(precision, device):
        first = network(frames, audio, io["eps"])
        with torch.no_grad():
            second = network(frames, audio, io["eps_no_grad_pass"])
        total = model.loss(first, second, io["listener_3dmm"], io["listener_emotion"], 2e-4, 10)[0]
    total.backward()
    return farthest(network, want)


def intensities(name, audio, video, precision, device):
    io, weights, want = vectors(eri.FIXTURES, name, device)
    network = eri.Eri(8, audio, video)
    network.load_state_dict(weights)
    eri.without_dropout(network)
    with set_precision(precision, device):
        found = network(eri.normalise(io["video_u8"]) if video else None, io.get("mfcc"))
    eri.loss(found.float(), io["target"]).backward()
    return farthest(network, want)


def main():
    device = sys.argv[1] if len(sys.argv) == 2 else ""
    if device not in ("cpu", "cuda"):
        sys.exit(__doc__)
    # model.py and eri.py make their tensors where the default says.
    torch.set_default_device(device)
    for precision in ("f32", "tf32", "bf16"):
        say = lambda what, worst: print(json.dumps({"vectors": f"gradients {what}", "precision": precision, "worst": worst}), flush=True)
        say("offline", transvae("transvae_offline", 0, precision, device))
        say("online", transvae("transvae_online", 8, precision, device))
        for name, audio, video in [("eri_audio", True, False), ("eri_video", False, True), ("eri_fusion", True, True)]:
            say(name, intensities(name, audio, video, precision, device))


if __name__ == "__main__":
    main()
