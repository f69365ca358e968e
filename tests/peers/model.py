"""The Trans-VAE in PyTorch, for comparison with react-model: the same network, step by step as the published program runs it.

    python tests/peers/model.py check                      against tests/fixtures/transvae: outputs, gradients, four steps
    python tests/peers/model.py kernels                    the bare convolutions, attention, LSTM
    python tests/peers/model.py offline 1 64 224           a training step: clips, frames, pixels; published: the encoder runs twice
    python tests/peers/model.py offline-once 1 64 224      the same without the encoder's second pass
    python tests/peers/model.py online 1 64 112 16         a training step online; the last number is the window
    python tests/peers/model.py evaluate 256 224 10        a clip, ten samples: the whole model ten times

Prints one line of JSON for each measurement. PEER_THREADS (2) threads; MEASURE=processor for processor time. Needs torch and numpy. Frames are floats before the clock
starts: the published program's loader makes them.
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

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "transvae"


class Convs(nn.Module):
    def __init__(self, d):
        super().__init__()
        conv = lambda i, o, k, s: nn.Conv3d(i, o, (1, k, k), (1, s, s), (0, k // 2, k // 2), bias=False)
        self.conv1, self.conv2, self.conv3 = conv(3, d // 4, 7, 2), conv(d // 4, d, 7, 2), conv(d, d, 3, 2)
        self.conv4, self.conv5 = conv(d, d, 3, 1), conv(d, d, 3, 2)

    def forward(self, x):
        block = lambda conv, x: F.relu(F.instance_norm(conv(x)), inplace=True)
        x = F.max_pool3d(block(self.conv1, x), (1, 3, 3), (1, 2, 2))
        x = block(self.conv3, block(self.conv2, x))
        return block(self.conv5, x + block(self.conv4, x))


class VideoEncoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.Conv3D, self.fc = Convs(d), nn.Linear(d, d)

    def forward(self, frames_btchw):
        return self.fc(self.Conv3D(frames_btchw.transpose(1, 2)).mean((3, 4)).transpose(1, 2))


class BehaviourEncoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.video_encoder, self.audio_feature_map, self.fusion_layer = VideoEncoder(d), nn.Linear(78, d), nn.Linear(2 * d, d)

    def forward(self, frames, audio):
        return self.fusion_layer(torch.cat([self.video_encoder(frames), self.audio_feature_map(audio)], -1))


class Latent(nn.Module):
    def __init__(self, d, dropout):
        super().__init__()
        self.linear = nn.Linear(d, d)
        self.mu_token, self.logvar_token = nn.Parameter(torch.randn(d)), nn.Parameter(torch.randn(d))
        layer = nn.TransformerEncoderLayer(d, 4, 2 * d, dropout, batch_first=True)
        self.seqTransEncoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x, eps):
        token = lambda t: t.expand(len(x), 1, -1)
        out = self.seqTransEncoder(torch.cat([token(self.mu_token), token(self.logvar_token), self.linear(x)], 1))
        mu, std = out[:, 0], (0.5 * out[:, 1]).exp()
        return mu + eps * std, mu, std


def positions(frames, d):
    angle = torch.arange(frames)[:, None] * torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def causal(n):
    return torch.ones(n, n, dtype=torch.bool).triu(1)


class Decoder(nn.Module):
    def __init__(self, d, dropout, online):
        super().__init__()
        layer = lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(d, 4, 2 * d, dropout, batch_first=True), 1)
        self.vae_model, self.dropout = Latent(d, dropout), nn.Dropout(dropout)
        self.listener_reaction_decoder_1, self.listener_reaction_decoder_2 = layer(), layer()
        self.listener_reaction_3dmm_map_layer = nn.Linear(d, 58)
        self.listener_reaction_emotion_map_layer = nn.Sequential(nn.Linear(d + 58, d), nn.Linear(d, 25))
        if online:
            self.listener_reaction_decoder_3d = layer()
            self.lstm, self.linear_3d, self.linear_reaction = nn.LSTM(d, d, batch_first=True), nn.Linear(58, d), nn.Linear(d, d)

    def forward(self, behaviour, eps, frames, past=None):
        sample, mu, std = self.vae_model(behaviour, eps)
        queries = self.dropout(positions(frames, sample.shape[-1]).expand(len(sample), -1, -1))
        mask = causal(frames)
        reaction = self.listener_reaction_decoder_1(queries, sample[:, None], tgt_mask=mask)
        reaction = self.listener_reaction_decoder_2(reaction, reaction, tgt_mask=mask)
        moved = reaction
        if past is not None:
            past = self.linear_3d(past)
            every = torch.cat([past, self.linear_reaction(reaction)], 1)
            every = self.listener_reaction_decoder_3d(every, every, tgt_mask=causal(every.shape[1]))
            state = past[:, -1].contiguous()[None]
            moved = self.lstm(every[:, -frames:], (state, state))[0]
        coeffs = self.listener_reaction_3dmm_map_layer(moved)
        return coeffs, self.listener_reaction_emotion_map_layer(torch.cat([coeffs, reaction], -1)), (mu, std)


class TransVae(nn.Module):
    """Window 0 is the whole clip: offline."""

    def __init__(self, d, window=0, dropout=0.1):
        super().__init__()
        self.window, self.d = window, d
        self.speaker_behaviour_encoder = BehaviourEncoder(d)
        self.reaction_decoder = Decoder(d, dropout, window > 0)
        self.fusion = nn.Linear(d + 58 + 25, d)

    def draws(self, batch, frames):
        return torch.randn(frames // self.window if self.window else 1, batch, self.d)

    def forward(self, frames, audio, eps):
        encode = self.speaker_behaviour_encoder
        if not self.window:
            return self.react(encode(frames, audio), eps)
        return self.online(lambda n: encode(frames[:, :n], audio[:, :n]), audio, eps)

    def react(self, behaviour, eps):
        coeffs, emotion, latent = self.reaction_decoder(behaviour, eps[0], behaviour.shape[1])
        return coeffs, emotion, [latent]

    def online(self, encode, audio, eps):
        (b, t, _), w = audio.shape, self.window
        coeffs, emotion, latents = torch.zeros(b, 0, 58), torch.zeros(b, 0, 25), []
        for i in range(t // w):
            n = (i + 1) * w
            now = lambda x: F.pad(x, (0, 0, 0, w))
            fused = self.fusion(torch.cat([encode(n), now(coeffs), now(emotion)], -1))
            new_coeffs, new_emotion, latent = self.reaction_decoder(fused, eps[i], w, coeffs if i else None)
            coeffs, emotion = torch.cat([coeffs, new_coeffs], 1), torch.cat([emotion, new_emotion], 1)
            latents.append(latent)
        return coeffs, emotion, latents


def loss(first, second, coeffs, emotion, kl_p, div_p):
    reconstruction = F.mse_loss(first[1], emotion) + F.mse_loss(first[0][..., :52], coeffs[..., :52])
    reconstruction = reconstruction + 10 * F.mse_loss(first[0][..., 52:], coeffs[..., 52:])
    kl = lambda mu, std: ((std**2 + mu**2 - 1) / 2 - std.log()).mean()
    kl = sum(kl(*latent) for latent in first[2]) / len(first[2])
    near = lambda a, b: torch.exp(-(a - b).flatten(1).square().sum(1) / 100).mean()
    diversity = near(first[0], second[0]) + near(first[1], second[1])
    return reconstruction + kl_p * kl + div_p * diversity, reconstruction, kl, diversity


def check(name, window):
    io, weights, want = (tensors.load(FIXTURES / f"{name}.{part}.safetensors") for part in ("io", "weights", "grads"))
    io = {key: torch.from_numpy(value.copy()) for key, value in io.items()}
    model = TransVae(32, window, dropout=0.0)
    missing = model.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights.items()})
    assert not missing.missing_keys and not missing.unexpected_keys
    frames, audio = (io["speaker_video_u8"].float() / 255 - 0.5) / 0.5, io["speaker_audio"]
    relative = lambda a, b: ((a - b).norm() / b.norm()).item()
    with torch.no_grad():
        for eps, tail in [(io["eps"], ""), (torch.zeros_like(io["eps"]), "_mean")]:
            coeffs, emotion, latents = model(frames, audio, eps)
            worst = max(relative(coeffs, io[f"out_3dmm{tail}"]), relative(emotion, io[f"out_emotion{tail}"]))
            if not tail:
                worst = max(worst, relative(torch.stack([mu for mu, _ in latents]), io["mu"]))
            assert worst < 1e-4, (name, worst)
    adam = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=5e-4)
    for step, losses in enumerate(json.loads((FIXTURES / f"{name}.trajectory.json").read_text())["losses"]):
        first = model(frames, audio, io["eps"])
        with torch.no_grad():
            second = model(frames, audio, io["eps_no_grad_pass"])
        terms = loss(first, second, io["listener_3dmm"], io["listener_emotion"], 2e-4, 10)
        assert all(abs(a.item() - b) < 1e-3 * b for a, b in zip(terms, losses)), (name, step, terms, losses)
        adam.zero_grad()
        terms[0].backward()
        if step == 0:
            for key, p in model.named_parameters():
                reference = torch.from_numpy(want[key].copy()) if key in want else None
                if reference is not None and reference.norm() > 1e-5:
                    assert relative(p.grad, reference) < 1e-3, (name, key)
        adam.step()
    print(f"{name}: outputs, gradients and four steps agree with the reference vectors")


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(**values):
    print(json.dumps(values), flush=True)


def best(run, rounds=5):
    run()
    clock = time.process_time if os.environ.get("MEASURE") == "processor" else time.perf_counter
    times = []
    for _ in range(rounds):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def training(case, clips, frames, size, window=0, twice=True):
    torch.manual_seed(0)
    model = TransVae(128, window)
    adam = torch.optim.AdamW(model.parameters(), 1e-5, weight_decay=5e-4)
    video, audio = torch.rand(clips, frames, 3, size, size) * 2 - 1, torch.randn(clips, frames, 78)
    coeffs, emotion = torch.randn(clips, frames, 58), torch.randn(clips, frames, 25)

    def step():
        adam.zero_grad()
        if twice:
            first = model(video, audio, model.draws(clips, frames))
            with torch.no_grad():
                second = model(video, audio, model.draws(clips, frames))
        else:
            behaviour = model.speaker_behaviour_encoder(video, audio)
            first = model.react(behaviour, model.draws(clips, frames))
            with torch.no_grad():
                second = model.react(behaviour.detach(), model.draws(clips, frames))
        loss(first, second, coeffs, emotion, 1e-5, 10)[0].backward()
        adam.step()

    seconds = best(step, 3)
    report(case=case, seconds=seconds, frames=clips * frames, peak_mb=peak_mb())


def evaluate(frames, size, samples):
    torch.manual_seed(0)
    model = TransVae(128).eval()
    video, audio = torch.rand(1, frames, 3, size, size) * 2 - 1, torch.randn(1, frames, 78)

    def run():
        with torch.no_grad():
            for _ in range(samples):
                model(video, audio, model.draws(1, frames))

    report(case="evaluate", seconds=best(run, 1), frames=frames, peak_mb=peak_mb())


# Name, channels in and out, kernel, stride, pixels that come in.
CONVS = [
    ("conv1", 3, 32, 7, 2, 224),
    ("conv2", 32, 128, 7, 2, 55),
    ("conv3", 128, 128, 3, 2, 28),
    ("conv4", 128, 128, 3, 1, 14),
    ("conv5", 128, 128, 3, 2, 14),
]
FRAMES = 32


def kernels():
    torch.manual_seed(0)
    for name, cin, cout, k, s, size in CONVS:
        seconds = {}
        # The better of what the published program does and of pictures that are channels last.
        for last in [False, True]:
            if last:
                x = torch.randn(FRAMES, cin, size, size).contiguous(memory_format=torch.channels_last)
                w = torch.randn(cout, cin, k, k).contiguous(memory_format=torch.channels_last)
                conv = lambda x, w: F.conv2d(x, w, None, s, k // 2)
            else:
                x, w = torch.randn(1, cin, FRAMES, size, size), torch.randn(cout, cin, 1, k, k)
                conv = lambda x, w: F.conv3d(x, w, None, (1, s, s), (0, k // 2, k // 2))
            w.requires_grad_()
            x.requires_grad_(cin > 3)
            with torch.no_grad():
                forward = best(lambda: conv(x, w))
            y = conv(x, w)
            grad = torch.randn_like(y)
            leaves = [x, w] if cin > 3 else [w]
            backward = best(lambda: torch.autograd.grad(y, leaves, grad, retain_graph=True))
            for key, value in [("forward", forward), ("backward", backward)]:
                seconds[key] = min(value, seconds.get(key, value))
        for key, value in seconds.items():
            report(kernel=name, direction=key, seconds=value)
    b, t, d = 4, 256, 128
    qkv = torch.randn(b, t, 3 * d, requires_grad=True)

    def attention(qkv):
        q, k, v = (x.reshape(b, t, 4, d // 4).transpose(1, 2) for x in qkv.chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)

    lstm = nn.LSTM(d, d, batch_first=True)
    x = torch.randn(b, t, d, requires_grad=True)
    for name, run, leaves in [
        ("attention", lambda: attention(qkv), [qkv]),
        ("lstm", lambda: lstm(x)[0], [x, *lstm.parameters()]),
    ]:
        with torch.no_grad():
            forward = best(run, 10)
        y = run()
        grad = torch.randn_like(y)
        backward = best(lambda: torch.autograd.grad(y, leaves, grad, retain_graph=True), 10)
        report(kernel=name, direction="forward", seconds=forward)
        report(kernel=name, direction="backward", seconds=backward)
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    report(kernel="gemm", direction="forward", seconds=best(lambda: a @ b, 10))


def main():
    torch.set_num_threads(int(os.environ.get("PEER_THREADS", "2")))
    task, *sizes = sys.argv[1:]
    sizes = [int(n) for n in sizes]
    if task == "check":
        for name, window in [("transvae_offline", 0), ("transvae_online", 8)]:
            if (FIXTURES / f"{name}.io.safetensors").exists():
                check(name, window)
    elif task == "kernels":
        kernels()
    elif task in ("offline", "online"):
        training(task, *sizes)
    elif task == "offline-once":
        training(task, *sizes, twice=False)
    elif task == "evaluate":
        evaluate(*sizes)
    else:
        sys.exit(f"there is no task {task}")


if __name__ == "__main__":
    main()
