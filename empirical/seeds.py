"""Seeds derived from the name of their use.

Every random number of a chain comes from a generator that is seeded by words such as
``("finetune", seed, generation, image, visit)``. So no draw depends on the batch size, on the
number of processes, or on what was drawn before it.
"""

import hashlib


def seed_of(*words: str | int) -> int:
    """Return a 63-bit seed for a tuple of words; the same words give the same seed everywhere."""
    text = "\x1f".join(f"{type(word).__name__}:{word}" for word in words)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
