"""The plan of `emoji`: drawings in colour by five artists, with a caption for every name."""

from pathlib import Path

import numpy as np

from empirical.embedded import Captioned
from empirical.pretraining.emoji import drawings, splits
from empirical.pretraining.plan import Lengths, Plan, Sizes, Words

_JUDGED = 380
_SEED = 0


def plan(archives: Path) -> Plan:
    """Return the plan from the archives in a folder (`empirical.pretraining.emoji.drawings`)."""
    all_drawings = list(drawings.read(archives))
    base = splits.of_artists(all_drawings, "base")
    known = _some(base)
    return Plan(
        "emoji",
        base=base,
        classified=splits.of_artists(all_drawings, "classifier"),
        real=known,
        reference=_some(splits.of_artists(all_drawings, "reference")),
        prompted=known,
        card=_CARD,
        categories={drawing.caption: drawing.category for drawing in all_drawings},
        sizes=_SIZES,
        lengths=_LENGTHS,
        mirrored=True,
        shortened=0.15,
    )


_SIZES = Sizes(vae=(32, 64, 96), denoiser=(64, 128), classifier=(48, 96, 128))
_LENGTHS = Lengths(
    vae_steps=8_000,
    denoiser_steps=30_000,
    classifier_epochs=60,
    clip_steps=4_000,
    vae_rate=1.5e-3,
    denoiser_rate=1e-3,
)


def _some(images: Captioned) -> Captioned:
    """Return as many drawings as are judged, at random."""
    return images.take(np.random.default_rng(_SEED).permutation(len(images))[:_JUDGED])


_CARD = Words(
    licence="cc-by-4.0",
    command="pretrain emoji --archives FOLDER",
    what="""\
A text-conditional latent diffusion model of drawings in colour with a caption for every image,
small enough for two processor cores: a `diffusers.StableDiffusionPipeline`, 32 x 32 pixels, weights
in half precision. It is made for chains of finetunings on drawings of another style than its own
(the data set `emoji` of diffusion-qtm).""",
    prompts="names of things, `a red apple`, `a sleeping face`; or of categories, `a fruit`.",
    data="""\
Drawings of emoji by five artists, at most one of each for a name, from packages of npm:

| artist | package | licence of the drawings |
|---|---|---|
| Noto Emoji, Google | emoji-datasource-google 16.0.0 | Apache-2.0 |
| Noto Emoji before 2017, Google | @iconify-json/noto-v1 1.2.5 | Apache-2.0 |
| Twemoji, Twitter and contributors | emoji-datasource-twitter 16.0.0 | CC BY 4.0 |
| EmojiTwo (Emoji One 2), Emoji One and contributors | @iconify-json/emojione 1.2.3 | CC BY 4.0 |
| FxEmoji, Mozilla | @iconify-json/fxemoji 1.2.2 | Apache-2.0 |

Names are those of Unicode's list in emojibase-data 17.0.0 (MIT), categories its subcategories.
People, flags, symbols and the faces of clocks are left out; drawings are composed on white and
reduced. Names are split: the base learns 602 of 1,002 (2,381 drawings), the classifier 200 others
(794 drawings), 100 are new to both until a chain is finetuned on them, and 100 are for reference
alone. A sixth artist, whom no part has seen, drew the images that chains are finetuned on: Fluent
Emoji by Microsoft (MIT, from @lobehub/fluent-emoji-3d 1.1.0).""",
    classifier="""\
The judge is the classifier of 62 categories that lies beside the weights, trained on names that the
model has never seen. Real images are 380 drawings that the model and the contrastive model have
learnt, 380 of other names are the reference; images are drawn with the captions of the former.""",
    limits="""\
It draws small pictures of things and nothing else. Words that are in no caption mean nothing to it;
words that are in captions it has not learnt mean little.""",
)
