"""Train the embedded model `digits`: a classifier, an autoencoder, a denoiser, and their card.

Each stage saves checkpoints, so an interrupted training is resumed and ends with the same weights;
all randomness is keyed by (seed, stage, step).
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from empirical.digits import classifier, dataset
from empirical.pipeline.model import device_of_choice
from empirical.pretraining import architecture
from empirical.progress import Progress
from empirical.seeds import seed_of

VAE_STEPS = 3_000
UNET_STEPS = 6_000
EPOCHS = 40
BATCH = 64
CONDITION_DROP = 0.1
# A hundred times as much kills two of the four latent channels.
KL_WEIGHT = 2e-4

_CHECKPOINT_SECONDS = 60.0

# The cost of a stage's step, relative to one pass of the denoiser over one image, on two cores.
_WORK = {"classifier": 150_000, "vae": 400, "unet": 256}

DETAILS = f"""\
The classifier sees the training images {EPOCHS} times, slightly shifted, turned and
scaled. The autoencoder trains for {VAE_STEPS:,} steps on the squared error plus {KL_WEIGHT} times
the Kullback-Leibler divergence, the denoiser and its text encoder together for {UNET_STEPS:,} steps
on predicting the noise, with the condition dropped {100 * CONDITION_DROP:g} % of the time; both in
batches of {BATCH} with AdamW, warm-up, cosine decay, and averaged (EMA) weights."""


def work() -> int:
    """Return the work of a complete training, the sum of the calls of `progress`."""
    return _WORK["classifier"] + VAE_STEPS * _WORK["vae"] + UNET_STEPS * _WORK["unet"]


def pretrain(out: Path, kept: Path, seed: int, progress: Progress) -> None:
    """Train every part from a seed and write the pipeline folder `out`, weights in half precision.

    `kept` is the folder that holds the state of an unfinished training.
    """
    kept.mkdir(parents=True, exist_ok=True)
    train = dataset.load("train")
    network = _classifier(train, kept, seed, progress)
    vae = _autoencoder(train, kept, seed, progress)
    text_encoder, unet = _denoiser(train, vae, kept, seed, progress)
    words = architecture.tokenizer()
    vae, text_encoder, unet = vae.cpu(), text_encoder.cpu(), unet.cpu()
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=words,
        unet=unet.to(memory_format=torch.contiguous_format),
        scheduler=architecture.scheduler(),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    for part in (vae, text_encoder, unet):
        part.half()
    pipeline.save_pretrained(out)
    (out / "classifier").mkdir(exist_ok=True)
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(halves, out / "classifier" / "model.safetensors")


def _classifier(train: dataset.Digits, kept: Path, seed: int, progress: Progress) -> nn.Module:
    path = kept / "classifier.safetensors"
    if not path.exists():
        model = classifier.train(
            train.images / 255, train.labels, seed_of("classifier", seed), EPOCHS
        )
        save_file(model.state_dict(), kept / "classifier.part")
        (kept / "classifier.part").replace(path)
    progress(_WORK["classifier"])
    model = classifier.Classifier().eval()
    model.load_state_dict(load_file(path))
    return model


def _autoencoder(train: dataset.Digits, kept: Path, seed: int, progress: Progress) -> nn.Module:
    device = device_of_choice()
    torch.manual_seed(seed_of("vae", seed))
    vae = architecture.vae().to(device)
    pixels = torch.from_numpy(train.images)[:, None].float() / 127.5 - 1

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("vae", seed, step))
        x = pixels[torch.randint(len(pixels), (BATCH,), generator=draw)].to(device)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw).to(device)
        again = vae.decode(posterior.mean + posterior.std * noise).sample
        error = (again - x).square().sum((1, 2, 3)).mean()
        return (error + KL_WEIGHT * posterior.kl().mean()) / x[0].numel()

    _optimise("vae", vae, loss_at, VAE_STEPS, 2e-3, kept, progress)
    with torch.no_grad():
        means = torch.cat([vae.encode(x.to(device)).latent_dist.mean for x in pixels.split(250)])
    # The denoiser takes latents of variance one.
    vae.register_to_config(scaling_factor=float(1 / means.std()))
    return vae


def _denoiser(
    train: dataset.Digits, vae: nn.Module, kept: Path, seed: int, progress: Progress
) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed_of("unet", seed))
    words = architecture.tokenizer()
    both = nn.ModuleDict({"text": architecture.text_encoder(words), "unet": architecture.unet()})
    device = device_of_choice()
    both.to(device)
    schedule = architecture.scheduler()
    scale = vae.config.scaling_factor
    with torch.no_grad():
        pixels = torch.from_numpy(train.images)[:, None].float() / 127.5 - 1
        posteriors = [vae.encode(x.to(device)).latent_dist for x in pixels.split(250)]
        mean = torch.cat([p.mean for p in posteriors]).cpu() * scale
        std = torch.cat([p.std for p in posteriors]).cpu() * scale
    tokens = words(
        [*dataset.CAPTIONS, ""],
        padding="max_length",
        max_length=words.model_max_length,
        return_tensors="pt",
    ).input_ids.to(device)
    labels, null = torch.from_numpy(train.labels), len(dataset.CAPTIONS)

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("unet", seed, step))
        index = torch.randint(len(mean), (BATCH,), generator=draw)
        x = mean[index] + std[index] * torch.randn(mean[index].shape, generator=draw)
        noise = torch.randn(x.shape, generator=draw)
        timesteps = torch.randint(schedule.config.num_train_timesteps, (BATCH,), generator=draw)
        dropped = torch.rand(BATCH, generator=draw) < CONDITION_DROP
        caption = torch.where(dropped, null, labels[index])
        embedding = both["text"](tokens)[0][caption.to(device)]
        noisy = schedule.add_noise(x, noise, timesteps).to(
            device, memory_format=torch.channels_last
        )
        predicted = both["unet"](noisy, timesteps.to(device), embedding).sample
        return F.mse_loss(predicted, noise.to(device))

    _optimise("unet", both, loss_at, UNET_STEPS, 1.5e-3, kept, progress)
    return both["text"], both["unet"]


def _optimise(
    stage: str,
    model: nn.Module,
    loss_at: Callable[[int], Float[Tensor, ""]],
    steps: int,
    peak: float,
    kept: Path,
    progress: Progress,
) -> None:
    """Train a model in place by AdamW, warm-up and cosine decay; leave its averaged weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01)
    average = deepcopy(model).requires_grad_(False)
    path, first = kept / f"{stage}.pt", 0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device_of_choice())
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    progress(first * _WORK[stage])
    saved = time.monotonic()
    for step in range(first, steps):
        decayed = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 200) * decayed
        loss = loss_at(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        keep = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        progress(_WORK[stage])
        if step + 1 == steps or time.monotonic() - saved > _CHECKPOINT_SECONDS:
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, kept / f"{stage}.part")
            (kept / f"{stage}.part").replace(path)
            saved = time.monotonic()
    model.load_state_dict(average.state_dict())
    model.eval().requires_grad_(False)
