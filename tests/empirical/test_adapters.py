"""Adapters: what they add to the weights, how they go away, and what is on disk."""

import copy
import json

import peft
import pytest
import safetensors.torch
import torch
from torch import nn

from empirical.errors import UserError
from empirical.pipeline import adapters
from empirical.pipeline.adapters import Part
from tests.helpers import rounding


class Net(nn.Module):
    """A convolution and a linear layer, with biases."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 5, 3, padding=1)
        self.to_q = nn.Linear(5, 4)

    def forward(self, x):
        return self.to_q(self.conv1(x).mean((2, 3)))


@pytest.fixture
def part():
    torch.manual_seed(0)
    return Part("unet", Net().requires_grad_(False), ("conv1", "to_q"))


@pytest.fixture
def x():
    return torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(1))


def close(found, expected):
    # 27 products of a window and two of the adapter, added in another order.
    apart = rounding.float32_error(expected.abs().max().item(), 29)
    torch.testing.assert_close(found, expected, rtol=0, atol=apart)


def trained(part, rank=2, seed=0):
    """An adapter that is no longer zero."""
    adapter = adapters.attach([part], rank, seed)
    for i, pair in enumerate(adapter.values()):
        draw = torch.Generator().manual_seed(100 * seed + i)
        pair.up.data = torch.randn(pair.up.shape, generator=draw)
    return adapter


def test_a_new_adapter_changes_nothing_and_learns(part, x):
    before = part.module(x)
    adapter = adapters.attach([part], rank=2, seed=0)
    assert torch.equal(part.module(x), before)
    assert set(adapter) == {"unet.conv1", "unet.to_q"}
    part.module(x).square().sum().backward()
    assert all(pair.up.grad.abs().max() > 0 for pair in adapter.values())


def test_it_adds_what_peft_would(part, x):
    """conv(x) + B(A(x)), the window in A and B of size one."""
    plain = part.module.conv1(x)
    pair = trained(part)["unet.conv1"]
    low = nn.functional.conv2d(x, pair.down, padding=1)
    expected = plain + nn.functional.conv2d(low, pair.up)
    close(part.module.conv1(x), expected)


def test_merged_weights_give_the_same_and_are_put_together_once(part, x, monkeypatch):
    trained(part)
    with torch.no_grad():
        plain, calls = part.module(x), []
        forward = adapters.LowRank.forward
        monkeypatch.setattr(
            adapters.LowRank, "forward", lambda *words: calls.append(1) or forward(*words)
        )
        with adapters.merged(part.module):
            for _ in range(3):
                assert torch.equal(part.module(x), plain)
    assert len(calls) == 2


@pytest.mark.parametrize("layers_that_learn", [True, False])
def test_weights_rounded_once_give_what_autocast_gives(part, x, layers_that_learn):
    if layers_that_learn:
        trained(part)
    exact = [weight.clone() for weight in part.module.state_dict().values()]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        plain = part.module(x)
        with adapters.merged(part.module, torch.bfloat16):
            assert part.module.conv1.weight.dtype == torch.bfloat16
            assert torch.equal(part.module(x), plain)
    after = part.module.state_dict().values()
    assert all(torch.equal(old, new) for old, new in zip(exact, after, strict=True))


def test_what_learns_is_not_rounded(part, x):
    adapter = adapters.attach([part], rank=2, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        part.module(x).square().sum().backward()
        plain = [pair.up.grad.clone() for pair in adapter.values()]
        for pair in adapter.values():
            pair.up.grad = None
        with adapters.rounded(part.module, torch.bfloat16):
            part.module(x).square().sum().backward()
    for pair, expected in zip(adapter.values(), plain, strict=True):
        assert pair.up.dtype == torch.float32
        assert torch.equal(pair.up.grad, expected)


def test_detaching_brings_every_bit_back(part, x):
    before, weights = part.module(x), dict(part.module.named_parameters())
    trained(part)
    adapters.attach_full([Part("unet", nn.Sequential(nn.Linear(2, 2)), ())], None)
    assert not torch.equal(part.module(x), before)
    adapters.detach([part])
    assert torch.equal(part.module(x), before)
    assert all(weights[name] is value for name, value in part.module.named_parameters())


def write(path, part, adapter, rank=2):
    path.write_bytes(adapters.serialise(adapter, [part], rank))
    adapters.detach([part])
    return path


def settings_of(path):
    """The settings of the part "unet" in a file, as peft's LoraConfig takes them."""
    with safetensors.safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["lora_adapter_metadata"])
    return {key.removeprefix("unet."): value for key, value in described.items()}


def under(prefix, weights):
    return {f"{prefix}{name}": value for name, value in weights.items()}


def test_peft_loads_what_is_written_and_gives_the_same_weights_back(part, x, tmp_path):
    path = write(tmp_path / "a", part, trained(part))
    adapters.attach_files([part], [path])
    ours = part.module(x)
    adapters.detach([part])
    settings = peft.LoraConfig(**settings_of(path))
    theirs = peft.PeftModel(copy.deepcopy(part.module), settings)
    written = {name.removeprefix("unet."): value for name, value in adapters.read(path).items()}
    loaded = peft.set_peft_model_state_dict(theirs, under("base_model.model.", written))
    assert not loaded.unexpected_keys
    apart = rounding.of_network(theirs, x)
    torch.testing.assert_close(theirs(x), ours, rtol=0, atol=apart)
    assert (ours - part.module(x)).abs().max() > 1e3 * apart
    again = peft.get_peft_model_state_dict(theirs)
    assert again.keys() == under("base_model.model.", written).keys()
    assert all(torch.equal(again[f"base_model.model.{name}"], written[name]) for name in written)


def test_what_peft_has_learnt_is_loaded_and_gives_the_same_predictions(part, x, tmp_path):
    torch.manual_seed(3)
    # Without peft's own initialisation B is random instead of zero.
    settings = peft.LoraConfig(
        r=3, lora_alpha=3, target_modules=["conv1", "to_q"], init_lora_weights=False
    )
    theirs = peft.get_peft_model(copy.deepcopy(part.module), settings)
    weights = {
        name.replace("base_model.model.", "unet."): value.detach().contiguous()
        for name, value in peft.get_peft_model_state_dict(theirs).items()
    }
    safetensors.torch.save_file(weights, tmp_path / "theirs")
    adapters.attach_files([part], [tmp_path / "theirs"])
    apart = rounding.of_network(theirs, x)
    torch.testing.assert_close(part.module(x), theirs(x), rtol=0, atol=apart)
    assert (part.module(x) - theirs.unload()(x)).abs().max() > 1e3 * apart


def test_a_file_has_the_settings_that_every_version_of_peft_knows(part, tmp_path):
    assert settings_of(write(tmp_path / "a", part, trained(part))) == {
        "r": 2,
        "lora_alpha": 2,
        "target_modules": ["conv1", "to_q"],
        "peft_type": "LORA",
        "bias": "none",
        "use_rslora": False,
    }


def test_files_add_up_from_the_base(part, x, tmp_path):
    a = write(tmp_path / "a", part, trained(part, seed=1))
    b = write(tmp_path / "b", part, trained(part, seed=2))
    outputs = []
    for paths in ([a], [b], [a, b], [a, b]):
        adapters.attach_files([part], paths)
        outputs.append(part.module.conv1(x))
        adapters.detach([part])
    base = part.module.conv1(x)
    close(outputs[2], outputs[0] + outputs[1] - base)
    assert torch.equal(outputs[2], outputs[3])


def test_full_weights_take_the_place_of_all(part, x, tmp_path):
    before = part.module(x)
    replaced = adapters.attach_full([part], None)
    assert set(replaced) == {
        f"unet.{name}" for name in ("conv1.weight", "conv1.bias", "to_q.weight", "to_q.bias")
    }
    assert torch.equal(part.module(x), before)
    part.module(x).sum().backward()
    assert replaced["unet.to_q.bias"].value.grad is not None
    adapters.detach([part])
    path = tmp_path / "full"
    safetensors.torch.save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"do not fit the model: they differ in 'conv1\.bias'"):
        adapters.attach_full([part], lambda _: path)


def test_a_target_that_is_not_there_is_named(part):
    with pytest.raises(UserError, match=r"'finetune\.targets' names 'to_z'"):
        adapters.attach([Part("unet", part.module, ("to_q", "to_z"))], 2, 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "is damaged|are damaged"),
        (lambda path: path.unlink(), "are missing"),
        (
            lambda path: safetensors.torch.save_file({"unet.x": torch.zeros(1)}, path),
            "does not fit the model: it differs in",
        ),
    ],
)
def test_a_spoiled_file_is_named(part, tmp_path, spoil, words):
    path = write(tmp_path / "a.safetensors", part, trained(part))
    spoil(path)
    with pytest.raises(UserError, match=words) as raised:
        adapters.attach_files([part], [path])
    assert str(path) in str(raised.value)


def test_kohya_names(part, tmp_path):
    path = write(tmp_path / "a", part, trained(part))
    theirs = safetensors.torch.load(adapters.kohya(path))
    ours = safetensors.torch.load_file(path)
    assert torch.equal(theirs["lora_unet_conv1.lora_down.weight"], ours["unet.conv1.lora_A.weight"])
    assert torch.equal(theirs["lora_unet_to_q.lora_up.weight"], ours["unet.to_q.lora_B.weight"])
    assert theirs["lora_unet_to_q.alpha"] == 2
    assert len(theirs) == 6


def test_kohya_names_of_a_text_encoder(part, tmp_path):
    """They were made when the layers of CLIP lay in a `text_model`."""
    encoder = Part("text_encoder", part.module, part.targets)
    path = write(tmp_path / "a", encoder, trained(encoder))
    theirs = safetensors.torch.load(adapters.kohya(path))
    assert "lora_te_text_model_conv1.lora_down.weight" in theirs
    assert len(theirs) == 6
