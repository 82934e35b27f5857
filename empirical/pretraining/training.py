"""Train an embedded model by its plan: a judge, a contrastive model, an autoencoder, a denoiser.

Each stage saves checkpoints, so an interrupted training is resumed and ends with the same weights;
all randomness is keyed by (seed, stage, step).
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from empirical import files
from empirical.embedded import Captioned
from empirical.measuring.extractors import _classifier_network as network
from empirical.pipeline.model import device_of_choice
from empirical.pretraining import architecture, contrast, judge, stage
from empirical.pretraining.plan import Plan
from empirical.progress import Progress
from empirical.seeds import seed_of

CONDITION_DROP = 0.1
# A hundred times as much kills two of the four latent channels.
KL_WEIGHT = 2e-4

# The cost of a stage's step for each image, relative to one pass of the denoiser, on two cores.
_WORK_OF_VAE, _WORK_OF_DENOISER, _WORK_OF_JUDGE = 6, 4, 1


def details(plan: Plan) -> str:
    """Describe the training of all parts in a few sentences."""
    lengths = plan.lengths
    shortened = (
        f", with captions shortened to their family {100 * plan.shortened:g} % of the time"
        if plan.shortened
        else ""
    )
    clip = (
        f" A contrastive model of images and captions trains for {lengths.clip_steps:,} steps."
        if lengths.clip_steps
        else ""
    )
    sides = " Images are learnt from both sides." if plan.mirrored else ""
    return (
        f"The classifier sees its training images {lengths.judge_epochs} times, slightly shifted, "
        f"turned and scaled.{clip} The autoencoder trains for {lengths.vae_steps:,} steps on the "
        f"squared error plus {KL_WEIGHT} times the Kullback-Leibler divergence, the denoiser and "
        f"its text encoder together for {lengths.denoiser_steps:,} steps on predicting the noise, "
        f"with the "
        f"condition dropped {100 * CONDITION_DROP:g} % of the time{shortened}; both in batches of "
        f"{lengths.batch} with AdamW, warm-up, cosine decay, and averaged (EMA) weights.{sides}"
    )


def work(plan: Plan) -> int:
    """Return the work of a complete training, the sum of the calls of `progress`."""
    lengths = plan.lengths
    return (
        _work_of_judge(plan)
        + contrast.work(plan)
        + lengths.vae_steps * lengths.batch * _WORK_OF_VAE
        + lengths.denoiser_steps * lengths.batch * _WORK_OF_DENOISER
    )


def pretrain(plan: Plan, out: Path, kept: Path, seed: int, progress: Progress) -> None:
    """Train every part from a seed and write the pipeline folder `out`, weights in half precision.

    `kept` is the folder that holds the state of an unfinished training.
    """
    kept.mkdir(parents=True, exist_ok=True)
    classifier = _judge(plan, kept, seed, progress)
    base = _both_sides(plan.base) if plan.mirrored else plan.base
    clip = contrast.train(plan, base, kept, seed, progress) if plan.lengths.clip_steps else None
    vae = _autoencoder(plan, base, kept, seed, progress)
    text_encoder, unet = _denoiser(plan, base, vae, kept, seed, progress)
    vae, text_encoder, unet = vae.cpu(), text_encoder.cpu(), unet.cpu()
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=_tokenizer(plan),
        unet=unet.to(memory_format=torch.contiguous_format),
        scheduler=architecture.scheduler(),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    for part in (vae, text_encoder, unet):
        part.half()
    pipeline.save_pretrained(out)
    network.save(classifier, out / "classifier")
    if clip is not None:
        contrast.save(clip, plan, out / "clip")


def _tokenizer(plan: Plan):
    return architecture.tokenizer(plan.vocabulary, plan.sizes.text_length)


def _both_sides(images: Captioned) -> Captioned:
    """Return images and their mirror images."""
    mirrored = images.images[:, :, ::-1]
    return Captioned(
        np.concatenate([images.images, mirrored]), 2 * images.captions, 2 * images.families
    )


def _work_of_judge(plan: Plan) -> int:
    return plan.lengths.judge_epochs * len(plan.judge) * _WORK_OF_JUDGE


def _judge(plan: Plan, kept: Path, seed: int, progress: Progress) -> network.Classifier:
    path = kept / "classifier.safetensors"
    model = network.Classifier(plan.classes, plan.sizes.channels, plan.sizes.judge, plan.families)
    if not path.exists():
        judge.train(model, plan.judge, seed_of("classifier", seed), plan.lengths.judge_epochs)
        files.write_bytes(path, save(model.state_dict()))
    progress(_work_of_judge(plan))
    model.load_state_dict(load_file(path))
    return model.eval()


def _pixels(images: Captioned) -> Float[Tensor, "n c h w"]:
    """Return images as an autoencoder takes them, from -1 to 1."""
    return torch.from_numpy(images.images.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def _autoencoder(
    plan: Plan, base: Captioned, kept: Path, seed: int, progress: Progress
) -> nn.Module:
    device, lengths = device_of_choice(), plan.lengths
    torch.manual_seed(seed_of("vae", seed))
    vae = architecture.vae(plan.sizes).to(device)
    pixels = _pixels(base)

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("vae", seed, step))
        x = pixels[torch.randint(len(pixels), (lengths.batch,), generator=draw)].to(device)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw).to(device)
        again = vae.decode(posterior.mean + posterior.std * noise).sample
        error = (again - x).square().sum((1, 2, 3)).mean()
        return (error + KL_WEIGHT * posterior.kl().mean()) / x[0].numel()

    each = lengths.batch * _WORK_OF_VAE
    stage.optimise("vae", vae, loss_at, lengths.vae_steps, lengths.vae_rate, kept, progress, each)
    with torch.no_grad():
        means = torch.cat([vae.encode(x.to(device)).latent_dist.mean for x in pixels.split(250)])
    # The denoiser takes latents of variance one.
    vae.register_to_config(scaling_factor=float(1 / means.std()))
    return vae


def _denoiser(
    plan: Plan, base: Captioned, vae: nn.Module, kept: Path, seed: int, progress: Progress
) -> tuple[nn.Module, nn.Module]:
    lengths = plan.lengths
    torch.manual_seed(seed_of("unet", seed))
    words = _tokenizer(plan)
    text, unet = architecture.text_encoder(words, plan.sizes), architecture.unet(plan.sizes)
    both = nn.ModuleDict({"text": text, "unet": unet})
    device = device_of_choice()
    both.to(device)
    schedule = architecture.scheduler()
    scale = vae.config.scaling_factor
    with torch.no_grad():
        posteriors = [vae.encode(x.to(device)).latent_dist for x in _pixels(base).split(250)]
        mean = torch.cat([p.mean for p in posteriors]).cpu() * scale
        std = torch.cat([p.std for p in posteriors]).cpu() * scale
    known = list(dict.fromkeys((*base.captions, *base.families)))
    place = {caption: index for index, caption in enumerate(known)}
    caption_of = torch.tensor([place[caption] for caption in base.captions])
    family_of = torch.tensor([place[caption] for caption in base.families])
    tokens = words(
        [*known, ""],
        padding="max_length",
        max_length=words.model_max_length,
        return_tensors="pt",
    ).input_ids.to(device)
    null = len(known)

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("unet", seed, step))
        index = torch.randint(len(mean), (lengths.batch,), generator=draw)
        x = mean[index] + std[index] * torch.randn(mean[index].shape, generator=draw)
        noise = torch.randn(x.shape, generator=draw)
        timesteps = torch.randint(
            schedule.config.num_train_timesteps, (lengths.batch,), generator=draw
        )
        dropped = torch.rand(lengths.batch, generator=draw) < CONDITION_DROP
        short = torch.rand(lengths.batch, generator=draw) < plan.shortened
        caption = torch.where(short, family_of[index], caption_of[index])
        caption = torch.where(dropped, null, caption)
        embedding = both["text"](tokens[caption.to(device)])[0]
        noisy = schedule.add_noise(x, noise, timesteps).to(
            device, memory_format=torch.channels_last
        )
        predicted = both["unet"](noisy, timesteps.to(device), embedding).sample
        return F.mse_loss(predicted, noise.to(device))

    each = lengths.batch * _WORK_OF_DENOISER
    stage.optimise(
        "unet", both, loss_at, lengths.denoiser_steps, lengths.denoiser_rate, kept, progress, each
    )
    return text, unet
