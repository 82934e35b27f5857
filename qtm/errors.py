"""The error shown to users."""


class UserError(ValueError):
    """A mistake in a command or a file, explained in one sentence.

    The sentence names the thing, the bad value and what is allowed. The command line recognises the
    error by its `exit_code`, prints the sentence without a traceback and ends with that code.
    """

    exit_code = 2
