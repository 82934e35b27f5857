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
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, CLIPVisionConfig

from empirical import files
from empirical.embedded import SIDE, Captioned
from empirical.pipeline.model import device_of_choice
from empirical.pretraining import architecture, stage
from empirical.pretraining.classifier import jitter
from empirical.pretraining.plan import Plan
from empirical.pretraining.stage import Training
from empirical.seeds import seed_of

# The cost of a step for each image, relative to one pass of the denoiser, on two cores.
_WORK = 2
_BATCH, _RATE = 128, 1e-3
_WIDTH, _LAYERS, _PATCH = 96, 4, 4
# Images are prepared in colour, grey ones too, as for every CLIP.
_CHANNELS = 3


def train(plan: Plan, base: Captioned, training: Training) -> CLIPModel:
    """Train a CLIP on the images that the base learns, slightly shifted, turned and scaled."""
    torch.manual_seed(seed_of("clip", training.seed))
    tokenizer = architecture.tokenizer(plan.captions)
    model = CLIPModel(_config(plan, tokenizer)).to(device_of_choice())
    x = stage.pixels(base).expand(-1, _CHANNELS, -1, -1)
    captions = list(dict.fromkeys(base.captions))
    place = {caption: index for index, caption in enumerate(captions)}
    caption_of = torch.tensor([place[caption] for caption in base.captions])
    tokens = architecture.encoded(tokenizer, captions)

    def loss_at(step: int) -> Float[Tensor, ""]:
        draw = torch.Generator().manual_seed(seed_of("clip", training.seed, step))
        index = torch.randint(len(x), (_BATCH,), generator=draw)
        shown = caption_of[index]
        scores = model(
            pixel_values=jitter(x[index], draw).to(model.device),
            input_ids=tokens.input_ids[shown].to(model.device),
            attention_mask=tokens.attention_mask[shown].to(model.device),
        )
        same = (shown[:, None] == shown).float().to(model.device)
        same = same / same.sum(1, keepdim=True)
        logits = scores.logits_per_image
        return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    stage.optimise("clip", model, loss_at, plan.lengths.clip_steps, _RATE, _BATCH * _WORK, training)
    return model.cpu()


def work(plan: Plan) -> int:
    """Return the work of `train`, the sum of the calls of `progress`."""
    return plan.lengths.clip_steps * _BATCH * _WORK


def save(model: CLIPModel, plan: Plan, folder: Path) -> None:
    """Write a CLIP, its tokenizer, and how images are prepared; weights in half precision."""
    model.half().save_pretrained(folder)
    architecture.tokenizer(plan.captions).save_pretrained(folder)
    half = [0.5] * _CHANNELS
    files.write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"shortest_edge": SIDE},
            "do_center_crop": True,
            "crop_size": {"height": SIDE, "width": SIDE},
            "resample": 3,
            "do_rescale": True,
            "do_normalize": True,
            "image_mean": half,
            "image_std": half,
        },
    )


def _config(plan: Plan, tokenizer: CLIPTokenizer) -> CLIPConfig:
    vision = CLIPVisionConfig(
        image_size=SIDE,
        patch_size=_PATCH,
        num_channels=_CHANNELS,
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=4,
    )
    return CLIPConfig(
        text_config=architecture.text_config(tokenizer, plan.sizes).to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=plan.sizes.text,
    )
