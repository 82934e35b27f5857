"""Captions of drawings: their names as a person would write them, and the names of families."""

import re
import unicodedata

# Written without an article: plurals and substances.
_PLAIN = {
    "bacon", "badminton", "baguette bread", "bowling", "bread", "broccoli", "bubble tea",
    "building construction", "butter", "camping", "canned food", "cityscape at dusk",
    "construction", "cooked rice", "cooking", "curry rice", "dashing away", "dna", "field hockey",
    "fire", "fog", "garlic", "green salad", "head shaking horizontally",
    "head shaking vertically", "high voltage", "ice", "ice hockey", "lacrosse", "luggage",
    "money with wings", "mount fuji", "night with stars", "oden", "ping pong", "popcorn",
    "pouring liquid", "rolling on the floor laughing", "sake", "salt", "soap", "spaghetti",
    "statue of liberty", "sunrise over mountains", "sushi", "tennis", "thread", "tokyo tower",
    "wood", "yarn",
}  # fmt: skip
# They end with s and are singular.
_SINGULAR = {
    "abacus", "bus", "cactus", "compass", "hibiscus", "hippopotamus", "lotus", "minibus",
    "octopus", "rhinoceros", "tennis", "trolleybus",
}  # fmt: skip

# What follows these words describes the thing before them.
_LINKS = "of|with|in|on|at|over|behind|showing|without|holding|and"

# The subcategory of Unicode's list -> the caption of its family.
FAMILIES = {
    "animal-amphibian": "a reptile",
    "animal-bird": "a bird",
    "animal-bug": "an insect",
    "animal-mammal": "a mammal",
    "animal-marine": "a sea animal",
    "animal-reptile": "a reptile",
    "arts & crafts": "arts and crafts",
    "award-medal": "a medal",
    "book-paper": "a book or paper",
    "cat-face": "a cat face",
    "clothing": "clothing",
    "computer": "a computer",
    "dishware": "dishware",
    "drink": "a drink",
    "emotion": "a comic symbol",
    "event": "a celebration",
    "face-affection": "a loving face",
    "face-concerned": "a worried face",
    "face-costume": "a fantasy face",
    "face-glasses": "a face in costume",
    "face-hand": "a face with hands",
    "face-hat": "a face in costume",
    "face-negative": "an angry face",
    "face-neutral-skeptical": "a neutral face",
    "face-sleepy": "a sleepy face",
    "face-smiling": "a smiling face",
    "face-tongue": "a face with tongue",
    "face-unwell": "an unwell face",
    "food-asian": "an asian dish",
    "food-fruit": "a fruit",
    "food-prepared": "prepared food",
    "food-sweet": "a sweet dish",
    "food-vegetable": "a vegetable",
    "game": "a game",
    "heart": "a heart",
    "hotel": "a household object",
    "household": "a household object",
    "light & video": "light and video",
    "lock": "a lock or key",
    "mail": "mail",
    "medical": "a medical object",
    "money": "money",
    "monkey-face": "a monkey face",
    "music": "music",
    "musical-instrument": "a musical instrument",
    "office": "an office object",
    "other-object": "an object",
    "phone": "a phone",
    "place-building": "a building",
    "place-geographic": "a landscape",
    "place-map": "a map",
    "place-other": "a place",
    "place-religious": "a place of worship",
    "plant-flower": "a flower",
    "plant-other": "a plant",
    "science": "a science object",
    "sky & weather": "sky and weather",
    "sound": "sound",
    "sport": "sport",
    "time": "a clock",
    "tool": "a tool",
    "transport-air": "an aircraft",
    "transport-ground": "a vehicle",
    "transport-water": "a boat",
    "writing": "a pen",
}


def caption(name: str) -> str:
    """Return a name of Unicode's list as a caption: ``red apple`` is ``a red apple``.

    Letters are lower-case ASCII. Plurals, numbers of things and substances take no article, names
    that start with the sound of a vowel take *an*.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", " ", plain.replace("'", "")).strip()
    head = re.split(rf" (?:{_LINKS}) ", plain)[0].split()[-1]
    plural = head.endswith("s") and head not in _SINGULAR and not head.endswith("ss")
    if plain in _PLAIN or plural or plain.split()[0] in {"clinking", "crossed"}:
        return plain
    vowel = plain[0] in "aeiou" and not plain.startswith(("uni", "euro", "one ", "ewe"))
    return f"{'an' if vowel or plain.startswith(('x ray', 'hourglass')) else 'a'} {plain}"
