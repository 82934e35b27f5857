"""Model folders as people have them: honoured as diffusers does, or refused in a sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EDMEulerScheduler,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file, save_file

from empirical.chain import loop
from empirical.errors import UserError
from empirical.generator import sampling, trainable
from empirical.guidance import Constant
from empirical.pipeline import loading, model
from empirical.pipeline.model import EMBEDDED
from empirical.recipe import FinetuneTable
from tests.helpers.random_pipelines import tiny_xl
from tests.helpers.tiny_chain import tiny

CAPTIONS = ["a handwritten digit two", "a handwritten digit six"]
MEAN, STD = [0.4, -1.2, 0.7, 2.1], [3.0, 0.5, 2.0, 1.5]


@pytest.fixture(scope="module")
def xl(tmp_path_factory):
    return tiny_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture
def copy(tmp_path):
    """Copy the embedded model and edit configurations, as in `copy({"unet": {...}})`."""
    return lambda changes, source=EMBEDDED / "digits": edited(source, tmp_path / "model", changes)


def edited(source, folder, changes):
    shutil.copytree(source, folder)
    names = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}
    for part, keys in changes.items():
        path = folder / part / names.get(part, "config.json")
        path = folder / "model_index.json" if part == "." else path
        config = json.loads(path.read_text())
        for key, value in keys.items():
            config.pop(key, None)
            if value is not ...:
                config[key] = value
        path.write_text(json.dumps(config))
    return folder


def as_diffusers_draws(folder, kind, latents, **options):
    theirs = kind.from_pretrained(str(folder), dtype=torch.float32, **options)
    theirs.set_progress_bar_config(disable=True)
    with torch.no_grad():
        images = theirs(
            CAPTIONS, latents=latents, num_inference_steps=4, guidance_scale=3.0, output_type="np"
        ).images
    return np.round(images * 255)


def drawn(loaded, steps=4):
    return sampling.sample(
        loaded, CAPTIONS, [3, 4], Constant(rule="constant", scale=3.0), "ddim", steps
    )


def noise(loaded):
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    return torch.stack([torch.randn(loaded.latent_shape, generator=g) for g in generators])


def test_latents_are_centred_and_scaled_by_channel_as_diffusers_does(copy, xl):
    folder = copy({"vae": {"latents_mean": MEAN, "latents_std": STD, "scaling_factor": 0.5}}, xl)
    loaded, plain = model.load(str(folder)), model.load(str(xl))
    stock = as_diffusers_draws(
        folder, StableDiffusionXLPipeline, noise(loaded), add_watermarker=False
    )
    assert np.abs(drawn(loaded) - stock).max() <= 1
    assert np.abs(drawn(plain) - stock).max() > 5
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        posterior = vae.encode(pixels).latent_dist
    centre, spread = (torch.tensor(values).view(1, 4, 1, 1) for values in (MEAN, STD))
    mean, std = loaded.encode(images)
    torch.testing.assert_close(mean, (posterior.mean - centre) * 0.5 / spread)
    torch.testing.assert_close(std, posterior.std * 0.5 / spread)


@pytest.mark.parametrize(
    "scheduler",
    [
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True,
         "timestep_spacing": "trailing"},
        {"prediction_type": "sample", "clip_sample": True},
        {"timestep_spacing": "linspace", "set_alpha_to_one": True},
        {"thresholding": True, "sample_max_value": 1.5},
    ],
)  # fmt: skip
def test_what_a_scheduler_says_is_done_as_diffusers_does(copy, stock, scheduler):
    folder = copy({"scheduler": scheduler})
    loaded = model.load(str(folder))
    images = as_diffusers_draws(folder, type(stock), noise(loaded), safety_checker=None)
    assert np.abs(drawn(loaded) - images[..., : loaded.channels]).max() <= 1


@pytest.mark.parametrize(
    ("scheduler", "sampler"),
    [
        ({"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}, "heun"),
        ({"clip_sample": True}, "euler"),
        ({"thresholding": True}, "euler_ancestral"),
    ],
)
def test_a_sampler_that_cannot_do_what_the_model_asks_for_is_refused(xl, copy, scheduler, sampler):
    loaded = model.load(str(copy({"scheduler": scheduler}, xl)))
    with pytest.raises(UserError, match=f"which the sampler '{sampler}' cannot do: .* can be ddim"):
        sampling.prepare(loaded, sampler, 4)
    sampling.prepare(loaded, "ddim", 4)


@pytest.mark.parametrize("size", [[8, 8], 8])
def test_a_square_may_be_said_by_two_numbers(copy, digits, size):
    loaded = model.load(str(copy({"unet": {"sample_size": size}})))
    assert (loaded.side, loaded.latent_shape) == (digits.side, digits.latent_shape)
    assert (drawn(loaded) == drawn(digits)).all()


def test_a_tokenizer_need_not_say_its_length(copy, digits):
    loaded = model.load(str(copy({"tokenizer": {"model_max_length": ...}})))
    assert (
        loaded.embed(["a handwritten digit two"]).hidden == digits.embed(CAPTIONS[:1]).hidden
    ).all()


REFUSED = [
    ({"unet": {"sample_size": [8, 16]}}, "'sample_size' .8, 16. in unet/config.json"),
    ({"unet": {"sample_size": None}}, "'sample_size' None in unet/config.json"),
    ({"vae": {"latents_mean": MEAN, "latents_std": STD}}, "'latents_mean' .0.4"),
    ({"vae": {"shift_factor": 0.1}}, "'shift_factor' 0.1"),
    ({"scheduler": {"prediction_type": "flow_prediction"}}, "'prediction_type' 'flow_prediction'"),
    ({"unet": {"time_cond_proj_dim": 16}}, "'time_cond_proj_dim' 16"),
    ({"unet": {"class_embed_type": "timestep"}}, "'class_embed_type' 'timestep'"),
    ({"unet": {"num_class_embeds": 10}}, "'num_class_embeds' 10"),
    ({"unet": {"in_channels": 9}}, "takes 9 channels"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_what_is_not_done_is_refused_before_a_folder_is_made(copy, tmp_path, changes, words):
    folder = copy(changes)
    # The weights fit: only the configuration is refused.
    unet = changes.get("unet", {})
    if {"time_cond_proj_dim", "class_embed_type", "num_class_embeds", "in_channels"} & unet.keys():
        from diffusers import UNet2DConditionModel

        config = UNet2DConditionModel.load_config(folder / "unet")
        UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    with pytest.raises(UserError, match=words):
        loop.run(tiny(model={"name": str(folder)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_schedulers_and_autoencoders_are_refused(stock, tmp_path):
    stock.scheduler = EDMEulerScheduler()
    stock.save_pretrained(tmp_path / "edm")
    with pytest.raises(UserError, match="was trained for a EDMEulerScheduler"):
        model.load(str(tmp_path / "edm"))
    stock.scheduler = DDIMScheduler()
    tiny_vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    stock.vae = tiny_vae
    stock.save_pretrained(tmp_path / "taesd")
    with pytest.raises(UserError, match="is a AutoencoderTiny, known is AutoencoderKL"):
        model.load(str(tmp_path / "taesd"))


def test_a_refiner_is_refused(xl):
    pipeline = StableDiffusionXLPipeline.from_pretrained(str(xl), add_watermarker=False)
    pipeline.register_to_config(requires_aesthetics_score=True)
    with pytest.raises(UserError, match="it is a refiner"):
        loading.require_known("the model", pipeline)


@pytest.mark.parametrize("parts", ["all", "unet"])
def test_half_precision_files_alone_are_read_in_single_precision(copy, stock, tmp_path, parts):
    folder = copy({})
    halves = [*folder.glob("*/*.safetensors")]
    halves = [path for path in halves if path.parent.name != "classifier"]
    for path in halves:
        if parts == "all" or path.parent.name == parts:
            weights = {name: value.half() for name, value in load_file(path).items()}
            save_file(weights, path.with_name(f"{path.stem}.fp16.safetensors"), {"format": "pt"})
            path.unlink()
    loaded = model.load(str(folder))
    (theirs,) = (w for n, w in stock.unet.named_parameters() if n == "conv_in.weight")
    ours = dict(loaded.unet.named_parameters())["conv_in.weight"]
    assert ours.dtype == torch.float32
    assert (ours == theirs.half().float()).all()
    assert drawn(loaded).shape == (2, 32, 32, 1)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_no_numbers_are_found_when_a_model_is_loaded(copy, part):
    folder: Path = copy({})
    (path,) = (folder / part).glob("*.safetensors")
    weights = load_file(path)
    name = min(name for name in weights if weights[name].is_floating_point())
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(UserError, match=f"not finite numbers, '.*' of its {part} among them"):
        model.load(str(folder))


def test_images_that_are_no_numbers_are_blamed_on_the_weights_that_make_them(digits):
    learnt = trainable.begin(digits, FinetuneTable(rank=1), 0, [])
    try:
        next(iter(learnt.weights.values())).data.fill_(float("inf"))
        rule = Constant(rule="constant", scale=3.0)
        with pytest.raises(UserError, match=r"generation 2 learnt .* 'finetune\.learning_rate'"):
            sampling.sample(digits, CAPTIONS, [3, 4], rule, "ddim", 2, generation=2)
    finally:
        trainable.unload(digits)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_model_that_lacks_weights_is_refused(part, copy):
    """The libraries would initialise them at random, with a message in a log at most."""
    folder = copy({})
    (path,) = (folder / part).glob("*.safetensors")
    weights = load_file(path)
    lost = next(name for name in sorted(weights) if "norm" in name and "bias" in name)
    del weights[lost]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"lacks weights, '.*{lost}' of its {part} among them"):
        model.load(str(folder))


@pytest.mark.parametrize("part", ["tokenizer", "tokenizer/tokenizer.json"])
def test_a_tokenizer_whose_files_are_missing_is_refused(part, copy):
    """It would take every word for the unknown one, and all prompts for one."""
    path = copy({}) / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=r"the tokenizer of the model .* has \d+ tokens"):
        model.load(str(path.parent if part == "tokenizer" else path.parents[1]))


def test_text_encoders_keep_their_weights(xl):
    """They are loaded separately from the other parts."""
    ours, theirs = model.load(str(xl)), StableDiffusionXLPipeline.from_pretrained(str(xl))
    for part in loading.TEXT_ENCODERS:
        actual = getattr(ours.pipeline, part).state_dict()
        expected = getattr(theirs, part).state_dict()
        assert actual.keys() == expected.keys()
        for name, weight in expected.items():
            assert torch.equal(actual[name], weight.float()), name
