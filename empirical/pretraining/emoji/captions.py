"""Captions of drawings: names as a person would write them, and captions of categories."""

import re
import unicodedata

# Adjectives, proper names, and numerals, of which every CLIP makes tokens apart.
_OTHERWISE = {
    "1st place medal": "a first place medal",
    "2nd place medal": "a second place medal",
    "3rd place medal": "a third place medal",
    "Statue of Liberty": "the statue of liberty",
    "ZZZ": "zzz",
    "chart decreasing": "a decreasing chart",
    "chart increasing": "an increasing chart",
    "chart increasing with yen": "an increasing chart with yen",
    "dizzy": "a dizzy star",
    "foggy": "a foggy bridge",
    "kaaba": "the kaaba",
    "locked": "a closed lock",
    "locked with key": "a closed lock with key",
    "locked with pen": "a closed lock with pen",
    "milky way": "the milky way",
    "pool 8 ball": "a pool ball",
    "star-struck": "a star struck face",
    "unlocked": "an open lock",
}
# Written without an article: plurals and substances.
_PLAIN = {
    "bacon", "badminton", "baguette bread", "bowling", "bread", "broccoli", "bubble tea",
    "building construction", "butter", "camping", "canned food", "cityscape at dusk",
    "construction", "cooked rice", "cooking", "curry rice", "dashing away", "dna", "field hockey",
    "fire", "fog", "garlic", "green salad", "head shaking horizontally",
    "head shaking vertically", "high voltage", "ice", "ice hockey", "lacrosse", "luggage",
    "money with wings", "mount fuji", "night with stars", "oden", "ping pong", "popcorn",
    "mate", "meat on bone", "pouring liquid", "rolling on the floor laughing", "sake", "salt",
    "shaved ice", "soap", "spaghetti",
    "sunrise over mountains", "sushi", "tennis", "thread", "tokyo tower",
    "wood", "yarn",
}  # fmt: skip
# They end with s and are singular.
_SINGULAR = {
    "abacus", "bus", "cactus", "compass", "hibiscus", "hippopotamus", "lotus", "minibus",
    "octopus", "rhinoceros", "tennis", "trolleybus",
}  # fmt: skip

# These words join a description to the thing before them.
_LINKS = "of|with|in|on|at|over|behind|showing|without|holding|and"

# The subcategory of Unicode's list -> the caption of its category.
CATEGORIES = {
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


def plain(name: str) -> str:
    """Return a name in lower-case ASCII, words apart: ``T-Rex`` is ``t rex``."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", " ", letters.replace("'", "")).strip()


def caption(name: str) -> str:
    """Return a name of Unicode's list as a caption: ``red apple`` is ``a red apple``.

    Plurals, numbers of things and substances take no article, names that start with the sound of a
    vowel take *an*.
    """
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    words = plain(name)
    head = re.split(rf" (?:{_LINKS}) ", words)[0].split()[-1]
    plural = head.endswith("s") and head not in _SINGULAR and not head.endswith("ss")
    if words in _PLAIN or plural or words.split()[0] in {"clinking", "crossed"}:
        return words
    vowel = words[0] in "aeiou" and not words.startswith(("uni", "euro", "one ", "ewe"))
    return f"{'an' if vowel or words.startswith(('x ray', 'hourglass')) else 'a'} {words}"
