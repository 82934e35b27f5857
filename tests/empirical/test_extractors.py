"""Deep features through one interface: tiny random networks, and errors without them."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from empirical.embedded import MODELS
from empirical.errors import UserError
from empirical.measuring import extractors
from empirical.measuring.extractors import _networks
from tests.helpers import rounding

SIDE = 24
MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
PREPARED = {
    "do_resize": True, "size": {"shortest_edge": SIDE}, "resample": 3,
    "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True, "do_normalize": True, "image_mean": MEAN, "image_std": DEVIATION,
}  # fmt: skip
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def noise(n=5, rows=32, columns=32, channels=3, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, rows, columns, channels))
    return pixels.astype(np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny CLIP and a tiny DINOv2, as `save_pretrained` leaves them."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("networks")
    vision = {**TINY, "intermediate_size": 32, "image_size": SIDE, "patch_size": 8}
    text = {**TINY, "intermediate_size": 32, "vocab_size": 2000, "max_position_embeddings": 77}
    # The token that ends a caption is the one whose state is the caption's.
    text |= {"eos_token_id": 2, "bos_token_id": 1}
    clip = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    CLIPModel(clip).save_pretrained(root / "tiny-clip")
    for path in (MODELS / "digits" / "tokenizer").iterdir():
        shutil.copy(path, root / "tiny-clip" / path.name)
    dino = Dinov2Config(**TINY, image_size=SIDE, patch_size=8)
    Dinov2Model(dino).save_pretrained(root / "tiny-dinov2")
    for name in ("tiny-clip", "tiny-dinov2"):
        (root / name / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    return {"clip": root / "tiny-clip", "dinov2": root / "tiny-dinov2"}


@pytest.fixture
def named(folders):
    """Every extractor by a name that loads here."""
    return {
        "classifier": "classifier",
        "pixels": "pixels",
        "clip": f"clip:{folders['clip']}",
        "dinov2": f"dinov2:{folders['dinov2']}",
    }


def test_these_are_all(named):
    assert {*named, "inception"} == set(extractors.every_extractor())


def close(actual, expected):
    """Equal but for rounding: two small layers of sums of up to 64 products, and their norms."""
    apart = rounding.float32_error(np.abs(expected).max(), 64)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=apart)


@pytest.mark.parametrize("kind", ["classifier", "pixels", "clip", "dinov2"])
def test_features_are_of_each_image_alone(named, kind, monkeypatch):
    images = noise(5, channels=1 if kind == "classifier" else 3)
    extractor = extractors.load(named[kind], offline=True)
    features = extractor.images(images)
    assert features.dtype == np.float32
    assert features.ndim == 2
    assert len(features) == 5
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 1e-3
    monkeypatch.setattr(_networks, "BATCH", 2)
    some = extractor.images(images[[3, 1]])
    close(some, features[[3, 1]])


@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_grey_images_of_any_size_become_colour(named, kind):
    extractor = extractors.load(named[kind], offline=True)
    grey = noise(2, 40, 30, 1)
    close(extractor.images(grey), extractor.images(np.repeat(grey, 3, axis=-1)))


@pytest.mark.parametrize("shape", [(32, 32), (24, 24), (50, 31), (31, 50)])
def test_images_are_prepared_as_the_library_does(folders, shape):
    """Against the processor of transformers that takes pillow's way, where it has one."""
    processors = pytest.importorskip("transformers")
    if not hasattr(processors, "CLIPImageProcessorPil"):
        pytest.skip("this transformers has no processor that does without torchvision")
    theirs = processors.CLIPImageProcessorPil.from_pretrained(folders["clip"])
    prepare = _networks.preparation("a CLIP", str(folders["clip"]), offline=True)
    (image,) = noise(1, *shape)
    expected = np.asarray(theirs(images=[image], return_tensors="np")["pixel_values"])[0]
    # Values up to 3: a grey level over 255, less a mean, over a deviation.
    apart = rounding.float32_error(3, 4)
    np.testing.assert_allclose(prepare(image), expected, rtol=0, atol=apart)


def test_clip_sees_images_and_captions_in_one_space(named, folders):
    extractor = extractors.load(named["clip"], offline=True)
    images, captions = noise(3), ["a handwritten digit two", "a", "a handwritten digit two"]
    texts = extractor.texts(captions)
    assert texts.shape == extractor.images(images).shape == (3, 8)
    unit = rounding.float32_error(1, 8)  # the squares of eight coordinates
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=unit)
    np.testing.assert_allclose(np.linalg.norm(extractor.images(images), axis=1), 1, rtol=unit)
    np.testing.assert_array_equal(texts[0], texts[2])
    assert np.abs(texts[0] - texts[1]).max() > 1e-3
    # The library's own cosines, without its scale.
    model = CLIPModel.from_pretrained(folders["clip"]).eval()
    tokens = extractor.tokenizer(
        captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    batch = torch.from_numpy(np.stack([extractor.prepare(image) for image in images]))
    with torch.no_grad():
        logits = model(pixel_values=batch, **{k: tokens[k] for k in tokens}).logits_per_image
        expected = (logits / model.logit_scale.exp()).numpy()
    apart = rounding.float32_error(1, 64)  # cosines of the vectors that `close` compares
    np.testing.assert_allclose(extractor.images(images) @ texts.T, expected, rtol=0, atol=apart)


def test_dinov2_gives_its_class_token(named, folders):
    model = Dinov2Model.from_pretrained(folders["dinov2"]).eval()
    extractor = extractors.load(named["dinov2"], offline=True)
    batch = torch.from_numpy(np.stack([extractor.prepare(image) for image in noise(2)]))
    with torch.no_grad():
        expected = model(pixel_values=batch).pooler_output.numpy()
    close(extractor.images(noise(2)), expected)
    assert extractor.texts(["a"]) is None


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (64, 64), (70, 35)])
def test_pixels_are_means_of_blocks(rows, columns):
    images = noise(2, rows, columns)
    features = extractors.load("pixels").images(images)
    block = -(-rows // 32)
    corner = images[:, :block, :block].mean(axis=(1, 2)) / 255
    mean = rounding.float32_error(1, block)  # of block^2 pixels
    np.testing.assert_allclose(features[:, :3], corner, rtol=mean)
    assert features.shape == (2, (rows // block) * (columns // block) * 3)
    same = extractors.load("pixels:70").images(images).reshape(images.shape)
    np.testing.assert_allclose(same, images / 255, rtol=0, atol=rounding.float32_error())


def test_names_with_weights():
    assert extractors.split("clip:a/b") == ("clip", "a/b")
    assert extractors.split("clip") == ("clip", None)
    assert extractors.stored_as("clip") == "clip"
    assert extractors.stored_as("clip:/some where/vit b") == "clip-vit_b"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("klip", "no extractor 'klip', known are classifier, clip"),
        ("clip:", "names no weights"),
        ("clip", "is not on this machine: download 'openai/"),
        ("dinov2", "is not on this machine: download 'facebook/"),
        ("classifier:nowhere", "'nowhere' has no classifier"),
        ("pixels:many", "must name a number of pixels"),
    ],
)
def test_what_is_missing_is_said(name, words, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=words) as caught:
        extractors.load(name, offline=True)
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_safetensors_are_refused(folders, tmp_path):
    for damage in ("pickle", "truncated", "none"):
        folder = tmp_path / damage
        shutil.copytree(folders["dinov2"], folder)
        weights = folder / "model.safetensors"
        if damage == "truncated":
            weights.write_bytes(weights.read_bytes()[:200])
        else:
            weights.unlink()
        if damage == "pickle":
            model = Dinov2Model.from_pretrained(folders["dinov2"])
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        with pytest.raises(UserError, match="does not load as the DINOv2 in safetensors") as caught:
            extractors.load(f"dinov2:{folder}", offline=True)
        assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(folders):
    """The library would initialise missing weights at random."""
    with pytest.raises(UserError, match="of its tensors are missing"):
        extractors.load(f"dinov2:{folders['clip']}", offline=True)


def test_the_classifier_says_what_it_can_see():
    extractor = extractors.load("classifier")
    for images in (noise(2, 16, 16, 1), noise(2, 32, 32, 3)):
        with pytest.raises(
            UserError, match="'digits' sees images of 32 x 32 pixels with 1 channel, not"
        ):
            extractor.images(images)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="the extractor 'dinov2' needs 'transformers': pip install"):
        extractors.load("dinov2", offline=True)


def test_inception_without_its_library_or_its_weights(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match="pip install torch-fidelity"):
        extractors.load("inception")
    _pretend_torch_fidelity(monkeypatch)
    with pytest.raises(
        UserError, match=r"download https://.*pth and name it, as in inception:FILE"
    ):
        extractors.load("inception")
    with pytest.raises(UserError, match="is no file: download"):
        extractors.load(f"inception:{tmp_path / 'none.pth'}")
    (tmp_path / "bad.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="does not load as torch-fidelity's Inception"):
        extractors.load(f"inception:{tmp_path / 'bad.pth'}")


def test_inception_is_given_what_torch_fidelity_wants(monkeypatch, tmp_path):
    """Bytes, channels first, three of them: torch-fidelity's code requires it."""
    _pretend_torch_fidelity(monkeypatch)
    torch.save({"scale": torch.tensor(2.0)}, tmp_path / "w.pth")
    extractor = extractors.load(f"inception:{tmp_path / 'w.pth'}")
    for channels in (1, 3):
        images = noise(3, channels=channels)
        features = extractor.images(images)
        expected = 2 * np.broadcast_to(images, (3, 32, 32, 3)).mean(axis=(1, 2))
        np.testing.assert_allclose(features, expected, rtol=rounding.float32_error(1, 1024**0.5))


def _pretend_torch_fidelity(monkeypatch):
    """Put a network of the same interface in the place of the library, which is not installed."""

    class FeatureExtractorInceptionV3(torch.nn.Module):
        def __init__(self, name, features_list, feature_extractor_weights_path=None):
            super().__init__()
            assert features_list == ["2048"]
            self.scale = torch.load(feature_extractor_weights_path)["scale"]

        def forward(self, x):
            assert x.dtype == torch.uint8
            assert x.shape[1] == 3
            return (self.scale * x.double().mean(dim=(2, 3)),)

    package = types.ModuleType("torch_fidelity")
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = FeatureExtractorInceptionV3
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
