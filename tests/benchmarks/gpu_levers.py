"""What makes a large denoiser fast on a GPU, one lever at a time: milliseconds.

python -m tests.benchmarks.gpu_levers --out DIR [--tiny]

At the size of Stable Diffusion 1.5 with random weights: the denoiser on 16 latents, a finetuning
step of 4 images, decoding 8 images, and where the time of the last two goes. Each row is a median.
A row that fails says why, and the others follow. `--tiny` tries the script on a processor.
"""

import argparse
import json
import statistics
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch.profiler import ProfilerActivity, profile

from empirical.conditioning import Conditioning
from empirical.generator import trainable
from empirical.generator.training_step import TrainingStep
from empirical.pipeline import adapters, model
from empirical.pipeline.replay import Replayed
from empirical.recipe import FinetuneTable
from tests.helpers.random_pipelines import size_of_15
from tests.helpers.taped import Tapes

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
BFLOAT = torch.bfloat16
rows: dict[str, float | str] = {}
START = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    device = torch.device("cpu" if args.tiny else "cuda")
    ceilings(device, 64 if args.tiny else 8192)
    with device:
        pipeline = model.load("emoji").pipeline if args.tiny else size_of_15()
    base = modelled(pipeline, device)
    noisy = torch.randn(16, *base.latent_shape, device=device)
    times = torch.tensor(500, device=device)
    told = base.embed(["a handwritten digit two"] * 16)
    for part in (forward, training, decoding, profiles):
        try:
            part(base, noisy, times, told)
        except Exception:
            traceback.print_exc()
    (args.out / "levers.json").write_text(json.dumps(rows, indent=1))


def modelled(pipeline, device: torch.device, compiled: bool = False) -> model.Model:
    base = model.Model(pipeline, device, Path(), BFLOAT, compiled)
    if device.type == "cpu":
        base.__dict__["recorder"] = Tapes()
    return base


def row(name: str, run: Callable[[], object], repeats: int = 5) -> None:
    """Measure one row; the first run is not counted."""
    try:
        start = now()
        run()
        first = now() - start
        run()
        seconds = []
        for _ in range(repeats):
            start = now()
            run()
            seconds.append(now() - start)
        rows[name] = round(1e3 * statistics.median(seconds), 2)
        note = f"(first {first:.1f} s)"
    except Exception as error:
        rows[name] = note = f"{type(error).__name__}: {str(error)[:200]}"
        traceback.print_exc()
    print(f"[{time.monotonic() - START:5.0f} s] {name}: {rows[name]} ms {note}", flush=True)


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def ceilings(device: torch.device, side: int) -> None:
    a, b = (torch.randn(side, side, device=device, dtype=BFLOAT) for _ in range(2))
    name = f"product of {side} x {side} in bfloat16"
    row(name, lambda: a @ b, 10)
    print(f"that is {2 * side**3 / rows[name] / 1e9:.0f} TFLOP/s")
    c = torch.randn(8 * side**2, device=device)
    row(f"copy of {8 * side**2} numbers in float32", c.clone, 10)


@torch.no_grad()
def forward(base, noisy, times, told) -> None:
    unet, hidden = base.unet, told.hidden

    def plain(layout=torch.contiguous_format, count=16, dtype=BFLOAT, which=None):
        x = noisy[:1].expand(count, -1, -1, -1).to(dtype).contiguous(memory_format=layout)
        h = hidden[:1].expand(count, -1, -1).to(dtype)
        return lambda: (which or unet)(x, times, h).sample

    with torch.autocast(noisy.device.type, BFLOAT):
        row("denoiser: autocast, weights in float32", plain(dtype=torch.float32))
    row("denoiser: float32", plain(dtype=torch.float32), 2)
    torch.set_float32_matmul_precision("high")
    row("denoiser: float32, TF32 products", plain(dtype=torch.float32), 2)
    torch.set_float32_matmul_precision("highest")
    with adapters.rounded(unet, BFLOAT):
        row("denoiser: bfloat16", plain())
        for count in (8, 32, 64):
            row(f"denoiser: bfloat16, {count} latents", plain(count=count), 3)
        with algorithms(True):
            row("denoiser: bfloat16, deterministic", plain())
        with fastest():
            row("denoiser: bfloat16, cuDNN benchmark", plain())
        fused = deepcopy(unet)
        fused.fuse_qkv_projections()
        row("denoiser: bfloat16, fused QKV", plain(which=fused))
        del fused
        last = deepcopy(unet).to(memory_format=torch.channels_last)
        row("denoiser: bfloat16, channels last", plain(torch.channels_last, which=last))
        del last
    model.choose_algorithms(True)
    for name, compiled in (("", False), (", compiled blocks", True)):
        one = modelled(base.pipeline, base.device, compiled)
        with one.drawing():
            row(f"drawing: as a chain does{name}", lambda one=one: one.denoise(noisy, times, told))
        row(f"drawing: taking the weights{name}", lambda one=one: taken(one))
        del one
        torch.cuda.empty_cache()
    base.unet.to(memory_format=base.layout)


def taken(one) -> None:
    with one.drawing():
        pass


@contextmanager
def algorithms(deterministic: bool):
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@contextmanager
def fastest():
    torch.backends.cudnn.benchmark = True
    yield
    torch.backends.cudnn.benchmark = False


def stepper(base, recorded: bool):
    table = FinetuneTable(batch_size=4, targets=TARGETS)
    trained = trainable.begin(base, table, 0, ())
    trainable.mode(base, table, training=True)
    recorder = base.recorder
    base.__dict__["recorder"] = recorder if recorded else None
    step = TrainingStep(base, list(trained.weights.values()), table)
    base.__dict__["recorder"] = recorder
    return step


def training(base, noisy, times, told) -> None:
    latents = noisy[:4].cpu()
    four = Conditioning(told.hidden[:4])
    moments = torch.tensor([1, 300, 600, 900])
    losses = {}

    def run(step):
        step.add(latents, latents, moments, four)
        step.finish()
        losses[id(step)] = [*losses.get(id(step), []), *step.read()]

    for reproducible in (True, False):
        model.choose_algorithms(reproducible)
        name = "reproducible" if reproducible else "fastest"
        for recorded in (False, True):
            step = stepper(base, recorded)
            with adapters.rounded(base.unet, BFLOAT):
                way = "recorded" if recorded else "as it is"
                row(f"finetuning step: {way}, {name}", lambda step=step: run(step))
            print("losses", losses[id(step)][:8])
            del step
            torch.cuda.empty_cache()
    model.choose_algorithms(True)
    low_rank(base, latents, moments, four)
    one = modelled(base.pipeline, base.device, True)
    step = stepper(one, True)
    with adapters.rounded(one.unet, BFLOAT):
        row("finetuning step: recorded, compiled blocks, reproducible", lambda: run(step))
    print("losses", losses[id(step)][:8])
    trainable.unload(one)
    trainable.mode(one, FinetuneTable(targets=TARGETS), training=False)
    if torch.cuda.is_available():
        print(f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def low_rank(base, latents, moments, four) -> None:
    """A step with the adapter beside each layer, as low-rank products, recorded too."""
    unet = deepcopy(base.unet).to(BFLOAT).train()
    unet.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=TARGETS))
    cast_training_params(unet, torch.float32)
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=5e-4, fused=True, capturable=base.device.type == "cuda"
    )
    hidden = four.hidden.to(BFLOAT)

    def step(x, t):
        with torch.autocast(base.device.type, BFLOAT, cache_enabled=False):
            predicted = unet(x.to(BFLOAT), t, hidden).sample
        loss = (predicted.float() - x).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return (loss.detach(),)

    def state():
        moments = [part for of_one in optimizer.state.values() for part in of_one.values()]
        return [*weights, *(weight.grad for weight in weights), *moments]

    for name, run in (("as it is", step), ("recorded", Replayed(step, base.recorder, state))):
        row(
            f"finetuning step: low-rank products, {name}, reproducible",
            lambda run=run: run(base.send(latents), base.send(moments)),
        )


@torch.no_grad()
def decoding(base, noisy, times, told) -> None:
    vae, latents = base.pipeline.vae, noisy[:8]
    images = {}

    def decode(name, way=nullcontext, at_once=8):
        def run():
            with way():
                parts = [vae.decode(x).sample.float() for x in latents.split(at_once)]
                images[name] = torch.cat(parts)

        row(f"decoding 8 images: {name}", run, 3)

    decode("TF32, 2 at once", at_once=2)
    decode("TF32, 8 at once")
    torch.backends.cudnn.allow_tf32 = False
    decode("float32")
    torch.backends.cudnn.allow_tf32 = True
    decode("autocast to bfloat16", lambda: torch.autocast(noisy.device.type, BFLOAT))
    with adapters.rounded(vae, BFLOAT):
        latents = latents.to(BFLOAT)
        decode("bfloat16")
        vae.to(memory_format=torch.channels_last)
        latents = latents.contiguous(memory_format=torch.channels_last)
        decode("bfloat16, channels last")
    scale = images["float32"].std()
    for name, image in images.items():
        error = ((image - images["float32"]) / scale).square().mean().sqrt()
        rows[f"decoding, error in standard deviations: {name}"] = round(error.item(), 6)
        print(name, "rms error / sd", error.item())
    pixels = torch.randn(8, base.channels, base.side, base.side, device=noisy.device)
    vae.to(memory_format=torch.contiguous_format)
    row("encoding 8 images: TF32", lambda: vae.encode(pixels).latent_dist.mean, 3)


def profiles(base, noisy, times, told) -> None:
    four, latents = Conditioning(told.hidden[:4]), noisy[:4].cpu()
    for recorded in (False, True):
        step = stepper(base, recorded)
        with adapters.rounded(base.unet, BFLOAT):

            def run(step=step):
                step.add(latents, latents, torch.tensor([1, 300, 600, 900]), four)
                step.finish()
                step.read()

            run(), run(), run()
            profiled(f"finetuning step, {'recorded' if recorded else 'as it is'}", run)
        del step
    trainable.unload(base)
    trainable.mode(base, FinetuneTable(targets=TARGETS), training=False)
    with torch.no_grad(), base.drawing():
        for _ in range(3):
            base.denoise(noisy, times, told)
        profiled("denoiser, 16 latents, recorded", lambda: base.denoise(noisy, times, told))


def profiled(name: str, run: Callable[[], object]) -> None:
    """Print the kernels of one run: how many, how long, and the longest."""
    start = now()
    run()
    seconds = now() - start
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorder:
        run()
        now()
    events = recorder.key_averages()
    kernels = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(e.self_device_time_total for e in kernels) / 1e3
    count = sum(e.count for e in kernels)
    calls = {e.key: e.count for e in events if e.key.startswith("cuda")}
    print(f"--- {name}: {1e3 * seconds:.1f} ms, kernels {count} in {busy:.1f} ms; {calls}")
    rows[f"{name}: wall (ms)"] = round(1e3 * seconds, 1)
    rows[f"{name}: kernels (ms)"] = round(busy, 1)
    rows[f"{name}: kernels"] = count
    for event in sorted(kernels, key=lambda e: -e.self_device_time_total)[:14]:
        print(f"  {event.self_device_time_total / 1e3:8.2f} ms {event.count:5d} {event.key[:110]}")


if __name__ == "__main__":
    main()
