"""Every guidance rule, found by listing, and settings to try it with."""

from empirical import guidance

RULES = guidance.every_rule()
EXAMPLES = [(name, example) for name, rule in RULES.items() for example in rule.examples]


def make(rule, **fields):
    return RULES[rule](rule=rule, **fields)
