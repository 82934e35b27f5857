"""Out-of-memory errors of all libraries, recognised without torch."""

from collections.abc import Iterator
from contextlib import contextmanager

from empirical.errors import UserError

_NAMES = {"OutOfMemoryError", "MemoryError", "_ArrayMemoryError"}
_WORDS = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory",
    "unable to allocate", "failed to allocate memory", "resource_exhausted",
    "cudnn_status_alloc_failed", "cublas_status_alloc_failed", "std::bad_alloc",
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or its cause, means that a GPU or a machine is out of memory.

    CUDA, ROCm, MPS, cuDNN and torch's CPU allocator raise a RuntimeError with differing messages,
    NumPy and Python a MemoryError, the system an OSError, JAX an error class that it defines.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        names = {kind.__name__ for kind in type(cause).__mro__}
        text = str(cause).lower()
        if names & _NAMES:
            return True
        if isinstance(cause, RuntimeError | OSError) and any(words in text for words in _WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def settings() -> str:
    """Return advice on the settings of a recipe that save memory."""
    return (
        "lower 'finetune.batch_size' or 'generate.batch_size', raise 'finetune.micro_batches', or "
        "set 'finetune.gradient_checkpointing' to true"
    )


@contextmanager
def explained(hint: str) -> Iterator[None]:
    """Turn an out-of-memory error into a `UserError` with a hint at how to save memory."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not is_out_of_memory(error):
            raise
        raise UserError(f"the GPU or this machine has too little memory: {hint}") from error
