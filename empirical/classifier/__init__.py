"""A small classifier of images, which lies beside the weights of an embedded model."""
