"""Train an embedded model by its plan: classifier, autoencoder, denoiser, contrastive model.

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
from empirical.classifier import network
from empirical.classifier.config import Config
from empirical.embedded import Captioned
from empirical.errors import UserError
from empirical.pipeline.model import device_of_choice
from empirical.pretraining import architecture, classifier, contrast, stage
from empirical.pretraining.plan import Plan
from empirical.pretraining.stage import Training
from empirical.progress import Progress
from empirical.seeds import seed_of

CONDITION_DROP = 0.1
# A hundred times as much kills two of the four latent channels.
KL_WEIGHT = 2e-4

# The cost of a stage's step for each image, relative to one pass of the denoiser, on two cores.
_WORK_OF_VAE, _WORK_OF_DENOISER, _WORK_OF_CLASSIFIER = 6, 4, 1


def details(plan: Plan) -> str:
    """Describe the training of all parts in a few sentences."""
    lengths = plan.lengths
    shortened = (
        f", with captions replaced by their category {100 * plan.shortened:g} % of the time"
        if plan.shortened
        else ""
    )
    clip = (
        f" A contrastive model of images and captions trains for {lengths.clip_steps:,} steps."
        if lengths.clip_steps
        else ""
    )
    sides = " Mirror images are learnt too." if plan.mirrored else ""
    return (
        f"The classifier sees its training images {lengths.classifier_epochs} times, slightly "
        f"shifted, turned and scaled.{clip} The autoencoder trains for {lengths.vae_steps:,} steps "
        f"on the squared error plus {KL_WEIGHT} times the Kullback-Leibler divergence, the "
        f"denoiser and its text encoder together for {lengths.denoiser_steps:,} steps on "
        f"predicting the noise, with the condition dropped {100 * CONDITION_DROP:g} % of the "
        f"time{shortened}; both in batches of {lengths.batch} with AdamW, warm-up, cosine decay, "
        f"and averaged (EMA) weights.{sides}"
    )


def work(plan: Plan) -> int:
    """Return the work of a complete training, the sum of the calls of `progress`."""
    lengths = plan.lengths
    return (
        _work_of_classifier(plan)
        + contrast.work(plan)
        + lengths.vae_steps * lengths.batch * _WORK_OF_VAE
        + lengths.denoiser_steps * lengths.batch * _WORK_OF_DENOISER
    )


def pretrain(plan: Plan, out: Path, checkpoints: Path, seed: int, progress: Progress) -> None:
    """Train every part from a seed and write the pipeline folder `out`, weights in half precision.

    Raises `UserError` where the checkpoints are those of another training.
    """
    _claim(plan, checkpoints, seed)
    training = Training(seed, checkpoints, progress)
    judge = _classifier(plan, training)
    base = _with_mirror_images(plan.base) if plan.mirrored else plan.base
    vae = _autoencoder(plan, base, training)
    text_encoder, unet = _denoiser(plan, base, vae, training)
    clip = contrast.train(plan, base, training) if plan.lengths.clip_steps else None
    vae, text_encoder, unet = vae.cpu(), text_encoder.cpu(), unet.cpu()
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=architecture.tokenizer(plan.captions),
        unet=unet.to(memory_format=torch.contiguous_format),
        scheduler=architecture.scheduler(),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    for part in (vae, text_encoder, unet):
        part.half()
    pipeline.save_pretrained(out)
    network.save(judge, out / "classifier")
    if clip is not None:
        contrast.save(clip, plan, out / "clip")


def _claim(plan: Plan, checkpoints: Path, seed: int) -> None:
    """Write down whose checkpoints a folder holds, or compare."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    path, training = checkpoints / "training.json", {"plan": plan.digest(), "seed": seed}
    if not path.exists():
        files.write_json(path, training)
    elif files.read_json(path) != training:
        raise UserError(
            f"'{checkpoints}' holds the checkpoints of a training with other data or settings: "
            f"remove it, or choose another --out"
        )


def _with_mirror_images(images: Captioned) -> Captioned:
    mirrored = images.images[:, :, ::-1]
    return Captioned(
        np.concatenate([images.images, mirrored]), 2 * images.captions, 2 * images.categories
    )


def _work_of_classifier(plan: Plan) -> int:
    return plan.lengths.classifier_epochs * len(plan.classified) * _WORK_OF_CLASSIFIER


def _classifier(plan: Plan, training: Training) -> network.Classifier:
    path = training.checkpoints / "classifier.safetensors"
    config = Config(plan.classes, plan.channels, plan.sizes.classifier, plan.categories)
    model = network.Classifier(config)
    if not path.exists():
        seed = seed_of("classifier", training.seed)
        classifier.train(model, plan.classified, seed, plan.lengths.classifier_epochs)
        files.write_bytes(path, save(model.state_dict()))
    training.progress(_work_of_classifier(plan))
    model.load_state_dict(load_file(path))
    return model.eval()


def _autoencoder(plan: Plan, base: Captioned, training: Training) -> nn.Module:
    device, lengths, seed = device_of_choice(), plan.lengths, training.seed
    torch.manual_seed(seed_of("vae", seed))
    vae = architecture.vae(plan.sizes, plan.channels).to(device)
    pixels = stage.pixels(base)

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("vae", seed, step))
        x = pixels[torch.randint(len(pixels), (lengths.batch,), generator=draw)].to(device)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw).to(device)
        again = vae.decode(posterior.mean + posterior.std * noise).sample
        error = (again - x).square().sum((1, 2, 3)).mean()
        return (error + KL_WEIGHT * posterior.kl().mean()) / x[0].numel()

    each = lengths.batch * _WORK_OF_VAE
    stage.optimise("vae", vae, loss_at, lengths.vae_steps, lengths.vae_rate, each, training)
    with torch.no_grad():
        means = torch.cat([vae.encode(x.to(device)).latent_dist.mean for x in pixels.split(250)])
    # The denoiser takes latents of variance one.
    vae.register_to_config(scaling_factor=float(1 / means.std()))
    return vae


def _denoiser(
    plan: Plan, base: Captioned, vae: nn.Module, training: Training
) -> tuple[nn.Module, nn.Module]:
    lengths, seed = plan.lengths, training.seed
    torch.manual_seed(seed_of("unet", seed))
    tokenizer = architecture.tokenizer(plan.captions)
    text = architecture.text_encoder(tokenizer, plan.sizes)
    unet = architecture.unet(plan.sizes)
    both = nn.ModuleDict({"text": text, "unet": unet})
    device = device_of_choice()
    both.to(device)
    schedule = architecture.scheduler()
    scale = vae.config.scaling_factor
    with torch.no_grad():
        posteriors = [vae.encode(x.to(device)).latent_dist for x in stage.pixels(base).split(250)]
        mean = torch.cat([p.mean for p in posteriors]).cpu() * scale
        std = torch.cat([p.std for p in posteriors]).cpu() * scale
    captions = list(dict.fromkeys((*base.captions, *base.categories)))
    place = {caption: index for index, caption in enumerate(captions)}
    caption_of = torch.tensor([place[caption] for caption in base.captions])
    category_of = torch.tensor([place[caption] for caption in base.categories])
    tokens = architecture.encoded(tokenizer, [*captions, ""]).input_ids.to(device)
    null = len(captions)

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
        caption = torch.where(short, category_of[index], caption_of[index])
        caption = torch.where(dropped, null, caption)
        embedding = both["text"](tokens[caption.to(device)])[0]
        noisy = schedule.add_noise(x, noise, timesteps).to(
            device, memory_format=torch.channels_last
        )
        predicted = both["unet"](noisy, timesteps.to(device), embedding).sample
        return F.mse_loss(predicted, noise.to(device))

    each = lengths.batch * _WORK_OF_DENOISER
    stage.optimise(
        "unet", both, loss_at, lengths.denoiser_steps, lengths.denoiser_rate, each, training
    )
    return text, unet
