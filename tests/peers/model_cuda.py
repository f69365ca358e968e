"""The Trans-VAE of model.py on an NVIDIA card, for `cargo xtask bench cuda`.

    python tests/peers/model_cuda.py offline 4 256 224 SETTINGS       a training step: clips, frames, pixels
    python tests/peers/model_cuda.py online 1 256 224 16 SETTINGS     the same in windows of 16 frames
    python tests/peers/model_cuda.py evaluate 750 224 10 SETTINGS     a clip, ten samples
    python tests/peers/model_cuda.py device                           what the card is, and PyTorch

SETTINGS: eager (as published: PyTorch's defaults, the encoder runs for both passes and for every sample), or best (the fastest of
TF32 everywhere with cudnn.benchmark and fused AdamW, with and without channels_last_3d; the encoder runs once), or amp (as best, convolutions and
products in bf16). Prints one line of JSON. Times are the mean of runs in a row, after runs to warm up; memory is the most that tensors
held at once after those; left_out are variants that failed.
"""

import sys
import time

import torch

from model import TransVae, loss, report


def settings(name):
    """The variants to try, each (channels_last_3d, autocast)."""
    if name == "eager":
        return [(False, False)]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    return [(last, name == "amp") for last in [False, True]]


def timed(run, rounds):
    for _ in range(2):
        run()
    # What cudnn.benchmark tries algorithms with is no memory of a run.
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    best = float("inf")
    for _ in range(2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(rounds):
            run()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / rounds)
    return best


def network(window, last):
    torch.manual_seed(0)
    net = TransVae(128, window)
    if last:
        # Convolutions' weights alone have five axes.
        net = net.to(memory_format=torch.channels_last_3d)
    return net


def video(clips, frames, size, last):
    # As [b, t, c, h, w]; the encoder looks at it as [b, c, t, h, w], where channels_last_3d is meant.
    x = torch.rand(clips, 3, frames, size, size) * 2 - 1
    if last:
        x = x.to(memory_format=torch.channels_last_3d)
    return x.transpose(1, 2) if last else x.transpose(1, 2).contiguous()


def fastest(name, variant):
    """What the fastest of the settings' variants gives: seconds, most memory in MB, whether it was channels_last_3d, and what failed."""
    results, left_out = [], []
    for last, amp in settings(name):
        torch.cuda.empty_cache()
        try:
            seconds = variant(last, amp)
        except RuntimeError as error:  # a card without room for it among them
            left_out.append(f"channels_last_3d {last}: {error}".splitlines()[0])
            continue
        results.append((seconds, torch.cuda.max_memory_allocated() / 2**20, last))
    if not results:
        sys.exit(f"{name}: {'; '.join(left_out)}")
    seconds, peak_mb, last = min(results)
    return dict(settings=name, seconds=seconds, peak_mb=peak_mb, channels_last=last, left_out=left_out)


def training(case, clips, frames, size, window, name):
    def variant(last, amp):
        net = network(window, last)
        adam = torch.optim.AdamW(net.parameters(), 1e-5, weight_decay=5e-4, fused=name != "eager")
        pictures, audio = video(clips, frames, size, last), torch.randn(clips, frames, 78)
        coeffs, emotion = torch.randn(clips, frames, 58), torch.randn(clips, frames, 25)

        def passes():
            draws = lambda: net.draws(clips, frames)
            # Online the published encoder sees every window's past anew, within each pass: there is no once.
            if name == "eager" or window:
                first = net(pictures, audio, draws())
                with torch.no_grad():
                    return first, net(pictures, audio, draws())
            behaviour = net.speaker_behaviour_encoder(pictures, audio)
            first = net.react(behaviour, draws())
            with torch.no_grad():
                return first, net.react(behaviour.detach(), draws())

        def step():
            adam.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=amp):
                first, second = passes()
                total = loss(first, second, coeffs, emotion, 1e-5, 10)[0]
            total.backward()
            adam.step()

        return timed(step, 5 if not window else 2)

    report(case=case, frames=clips * frames, **fastest(name, variant))


def evaluate(frames, size, samples, name):
    def variant(last, amp):
        net = network(0, last).eval()
        pictures, audio = video(1, frames, size, last), torch.randn(1, frames, 78)

        def run():
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=amp):
                if name == "eager":
                    return [net(pictures, audio, net.draws(1, frames))[1].cpu() for _ in range(samples)]
                behaviour = net.speaker_behaviour_encoder(pictures, audio)
                return [net.react(behaviour, net.draws(1, frames))[1].cpu() for _ in range(samples)]

        return timed(run, 1)

    report(case="evaluate", frames=frames, **fastest(name, variant))


def main():
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device here")
    # model.py makes its tensors where the default says.
    torch.set_default_device("cuda")
    task, *words = sys.argv[1:]
    sizes, name = [int(word) for word in words if word.isdigit()], words[-1] if words else ""
    if task == "device":
        report(name=torch.cuda.get_device_name(), torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    elif name not in ("eager", "best", "amp"):
        sys.exit("the settings are eager, best and amp")
    elif task == "offline":
        training(task, *sizes, 0, name)
    elif task == "online":
        training(task, *sizes, name)
    elif task == "evaluate":
        evaluate(*sizes, name)
    else:
        sys.exit(f"there is no task {task}")


if __name__ == "__main__":
    main()
