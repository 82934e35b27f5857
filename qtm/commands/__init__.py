"""``qtm simulate``, ``qtm sweep``, ``qtm forms``.

Everything heavy is imported inside the command that needs it. The entry point `qtm.commands` of the
distribution names `app`.
"""

from qtm.commands.theory import app

__all__ = ["app"]
