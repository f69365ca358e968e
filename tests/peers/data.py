"""Reading and packing clips with the usual Python libraries, for comparison with react-media and react-data.

    python tests/peers/data.py decode CLIP.mp4             to RGB arrays: PyAV, OpenCV, decord; frames/s
    python tests/peers/data.py pack CLIP.mp4 [OUT]          the whole route: decode, resize and crop to 224, MFCC of each frame, save as npy
    python tests/peers/data.py features SPEECH.wav          the 78 audio features of a clip, torchaudio's MFCC frame by frame; s
    python tests/peers/data.py crops CLIP.mp4               random crops of 256 frames with PyAV, from the key frame before; frames/s
    python tests/peers/data.py check                        the features against tests/fixtures/audio
    python tests/peers/data.py memmap FOLDER                batches of 4 × 256 frames of 224², copied from memory-mapped npy; GB/s

Prints one line of JSON for each measurement: the fastest of PEER_REPEATS (3) runs. One thread each
(PEER_THREADS); MEASURE=processor for processor time, which a busy machine disturbs less; bind to a core with taskset where another library would take more. Needs av, opencv-python-headless, decord, numpy, torch,
torchaudio; what is missing is left out, with a line that says so.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

THREADS = int(os.environ.get("PEER_THREADS", "1"))
REPEATS = int(os.environ.get("PEER_REPEATS", "3"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(THREADS))

import numpy as np

RESIZE, CROP, FRAMES = 256, 224, 256
clock = time.process_time if os.environ.get("MEASURE") == "processor" else time.perf_counter


def report(what, library, **numbers):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"what": what, "library": library, **numbers, "peak_mb": round(peak)}), flush=True)


def fastest(run):
    """The result of `run` and the seconds of its fastest repetition; the first, which loads things, does not count."""
    result, best = run(), float("inf")
    for _ in range(REPEATS):
        start = clock()
        result = run()
        best = min(best, clock() - start)
    return result, best


# To RGB arrays, one at a time.


def planes(path):
    """As FFmpeg decodes them, nothing converted or copied: as fast as anything that is built upon its decoder can ever be."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = ("NONE", 1) if THREADS == 1 else ("AUTO", THREADS)
        yield from container.decode(stream)


def pyav(path):
    for frame in planes(path):
        yield frame.to_ndarray(format="rgb24")


def opencv(path):
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"threads;{THREADS}")
    import cv2

    cv2.setNumThreads(THREADS)
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    while True:
        there, frame = video.read()
        if not there:
            break
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def decord(path):
    import decord

    video = decord.VideoReader(path, num_threads=THREADS)
    for i in range(len(video)):
        yield video[i].asnumpy()


DECODERS = {"PyAV": pyav, "OpenCV": opencv, "decord": decord}


def each(libraries, measure):
    """Measures with every library that is there; those that are not are named."""
    for library, function in libraries.items():
        try:
            yield library, measure(function)
        except ImportError as why:
            print(json.dumps({"library": library, "missing": str(why)}), flush=True)


def decode(path):
    def count(decoder):
        return fastest(lambda: sum(1 for _ in decoder(path)))

    for library, (frames, seconds) in each(DECODERS | {"FFmpeg, no RGB": planes}, count):
        report("decode", library, frames=frames, seconds=seconds, rate=frames / seconds)


# Pictures of 224 pixels, as torchvision's Resize(256) and CenterCrop(224) make them.


def pillow(frame):
    from PIL import Image

    height, width = frame.shape[:2]
    if min(height, width) != RESIZE:
        size = (RESIZE, RESIZE * height // width) if width <= height else (RESIZE * width // height, RESIZE)
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.BILINEAR))
    top, left = (round((side - CROP) / 2) for side in frame.shape[:2])
    return frame[top : top + CROP, left : left + CROP]


# Sound: MFCC of each video frame's own samples, with deltas, as the published program extracts them.


def sound(path):
    """Mono samples in [−1, 1] and their rate."""
    import av

    with av.open(path) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout.name)
        parts = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate(parts, 1).mean(0), stream.rate


def features(samples, rate, frames, fps=25):
    """torchaudio's own transforms, called once a frame: [frames, 78] at 25 frames a second."""
    import torch

    # torchaudio's wheels lag behind torch's, and it refuses another CUDA; what is used here is Python and runs on the processor.
    cuda, torch.version.cuda = torch.version.cuda, os.environ.get("TORCHAUDIO_CUDA", "13.0")
    import torchaudio
    import torchaudio.compliance.kaldi

    torch.version.cuda = cuda
    torch.set_num_threads(THREADS)
    a_frame = rate // fps
    samples = np.pad(samples, (0, max(0, frames * a_frame - len(samples))))[: frames * a_frame]
    samples = torch.from_numpy(samples.astype(np.float32))
    out = []
    for i in range(frames):
        piece = samples[None, i * a_frame : (i + 1) * a_frame]
        mfcc = torchaudio.compliance.kaldi.mfcc(piece, sample_frequency=rate, use_energy=True)
        mfcc = mfcc.transpose(0, 1)
        delta = torchaudio.functional.compute_deltas(mfcc)
        out.append(torch.cat([mfcc, delta, torchaudio.functional.compute_deltas(delta)], 0).flatten())
    return torch.stack(out).numpy()


def features_of(path):
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(1)
    frames = int(len(samples) / (rate // 25))
    result, seconds = fastest(lambda: features(samples, rate, frames))
    report("features", "torchaudio", frames=frames, size=int(result.shape[1]), seconds=seconds)


def check():
    """That `features` is the published definition: the fixtures hold its numbers."""
    import soundfile

    folder = Path(__file__).resolve().parent.parent / "fixtures" / "audio"
    for path in sorted(folder.glob("*.mfcc.npy")):
        wav = folder / (path.name.removesuffix(".mfcc.npy") + ".wav")
        want = np.load(path)
        if wav.exists() and want.shape[1] == 78:
            samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
            print(json.dumps({"file": wav.name, "worst": float(abs(features(samples.mean(1), rate, len(want)) - want).max())}))


def pack(path, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def whole(decoder):
        def run():
            start = clock()
            frames = np.stack([pillow(frame) for frame in decoder(path)])
            middle = clock()
            np.save(folder / "audio.npy", features(*sound(path), len(frames)))
            after = clock()
            np.save(folder / "frames.npy", frames)
            return len(frames), middle - start, after - middle

        return fastest(run)

    for library, ((frames, pictures, mfcc), seconds) in each(DECODERS, whole):
        report("pack", library, frames=frames, seconds=seconds, decode_and_crop=pictures, mfcc=mfcc, clips=1 / seconds)


# Loading for training: stretches of 256 frames from anywhere.


def crops(path, count=12, seed=0):
    import av

    def run():
        draw, frames = random.Random(seed), 0
        for _ in range(count):
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.thread_type, stream.codec_context.thread_count = ("NONE", 1) if THREADS == 1 else ("AUTO", THREADS)
                rate = stream.average_rate
                first = draw.randrange(stream.frames - FRAMES + 1)
                base = stream.start_time or 0
                time_of = lambda number: base + int(Fraction(number) / rate / stream.time_base)
                container.seek(time_of(first), stream=stream)
                batch = np.empty((FRAMES, CROP, CROP, 3), np.uint8)
                taken = 0
                for frame in container.decode(stream):
                    if frame.pts < time_of(first):
                        continue
                    batch[taken] = pillow(frame.to_ndarray(format="rgb24"))
                    taken += 1
                    if taken == FRAMES:
                        break
                frames += taken
        return frames

    frames, seconds = fastest(run)
    report("crops", "PyAV", crops=count, frames=frames, seconds=seconds, rate=frames / seconds)


def memmap(folder, batches=8, clips=8, length=751, seed=0):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(folder.glob("*.npy"))
    made = []
    while len(paths) < clips:
        path = folder / f"clip_{len(paths)}.npy"
        array = np.lib.format.open_memmap(path, "w+", np.uint8, (length, CROP, CROP, 3))
        array[:] = (np.arange(array[0].size, dtype=np.uint32).reshape(array[0].shape) * 31 % 251).astype(np.uint8)
        paths.append(path)
        made.append(path)
    arrays = [np.load(path, mmap_mode="r") for path in paths]
    batch = np.empty((4, FRAMES, CROP, CROP, 3), np.uint8)

    def run():
        draw = random.Random(seed)
        for _ in range(batches):
            for row in batch:
                array = draw.choice(arrays)
                first = draw.randrange(len(array) - FRAMES + 1)
                np.copyto(row, array[first : first + FRAMES])

    _, seconds = fastest(run)
    report("memmap", "numpy", batches=batches, seconds=seconds, gigabytes_a_second=batches * batch.nbytes / seconds / 1e9)
    del arrays
    for path in made:
        path.unlink()


def main():
    what, *rest = sys.argv[1:] or ["help"]
    if what == "decode":
        decode(*rest)
    elif what == "pack":
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            pack(*rest) if len(rest) > 1 else pack(rest[0], folder)
    elif what == "check":
        check()
    elif what == "features":
        features_of(*rest)
    elif what == "crops":
        crops(*rest)
    elif what == "memmap":
        memmap(*rest)
    else:
        sys.exit(__doc__)


main()
