"""Pipelines of diffusers: loading, conditioning, adapters, speed on processors."""

import logging

# Importing diffusers names two processors of images that no chain uses, and transformers then says
# that they would be faster with torchvision. It is said on import, so this comes before any.
logging.getLogger("transformers.utils.import_utils").addFilter(
    lambda record: "requires torchvision" not in record.getMessage()
)
