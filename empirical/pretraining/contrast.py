"""A small contrastive model of images and captions (CLIP), trained on a model's own data.

It lies beside an embedded model as ``clip``, a folder of the library transformers, and scores how
well images show their captions. Images and captions that belong together attract each other; where
several images share a caption, all of them do.
Source: Radford et al. 2021 (arXiv 2103.00020).
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from empirical import files
from empirical.embedded import Captioned
from empirical.pipeline.model import device_of_choice
from empirical.pretraining import architecture, stage
from empirical.pretraining.judge import jitter
from empirical.pretraining.plan import Plan
from empirical.progress import Progress
from empirical.seeds import seed_of

# The cost of a step for each image, relative to one pass of the denoiser, on two cores.
WORK = 2
_BATCH, _RATE = 128, 1e-3
_WIDTH, _LAYERS, _PATCH = 96, 4, 4


def train(plan: Plan, base: Captioned, kept: Path, seed: int, progress: Progress) -> CLIPModel:
    """Train a CLIP on the images that the base learns, slightly shifted, turned and scaled."""
    torch.manual_seed(seed_of("clip", seed))
    words = architecture.tokenizer(plan.vocabulary, plan.sizes.text_length)
    model = CLIPModel(_config(plan, words)).to(device_of_choice())
    x = torch.from_numpy(base.images.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    known = list(dict.fromkeys(base.captions))
    place = {caption: index for index, caption in enumerate(known)}
    of_image = torch.tensor([place[caption] for caption in base.captions])
    tokens = words(
        known, padding="max_length", max_length=words.model_max_length, return_tensors="pt"
    )

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("clip", seed, step))
        index = torch.randint(len(x), (_BATCH,), generator=draw)
        captions = of_image[index]
        scores = model(
            pixel_values=jitter(x[index], draw).to(model.device),
            input_ids=tokens.input_ids[captions].to(model.device),
            attention_mask=tokens.attention_mask[captions].to(model.device),
        )
        same = (captions[:, None] == captions).float().to(model.device)
        same = same / same.sum(1, keepdim=True)
        logits = scores.logits_per_image
        return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    stage.optimise(
        "clip", model, loss_at, plan.lengths.clip_steps, _RATE, kept, progress, _BATCH * WORK
    )
    return model.cpu()


def work(plan: Plan) -> int:
    """Return the work of `train`, the sum of the calls of `progress`."""
    return plan.lengths.clip_steps * _BATCH * WORK


def save(model: CLIPModel, plan: Plan, folder: Path) -> None:
    """Write a CLIP, its tokenizer, and how images are prepared; weights in half precision."""
    model.half().save_pretrained(folder)
    architecture.tokenizer(plan.vocabulary, plan.sizes.text_length).save_pretrained(folder)
    side, half = plan.sizes.side, [0.5] * plan.sizes.channels
    files.write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"shortest_edge": side},
            "do_center_crop": True,
            "crop_size": {"height": side, "width": side},
            "resample": 3,
            "do_rescale": True,
            "do_normalize": True,
            "image_mean": half,
            "image_std": half,
        },
    )


def _config(plan: Plan, words) -> CLIPConfig:
    sizes = plan.sizes
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=sizes.text_width,
        intermediate_size=2 * sizes.text_width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=sizes.text_length,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    vision = CLIPVisionConfig(
        image_size=sizes.side,
        patch_size=_PATCH,
        num_channels=sizes.channels,
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=4,
    )
    return CLIPConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=sizes.text_width,
    )
