"""The one error that is meant for the person at the keyboard."""


class UserError(ValueError):
    """A mistake in what was asked for, said in one sentence.

    The sentence names the thing, the bad value and what is allowed. The command line prints it
    without a traceback and ends with exit code 2.
    """
