"""Numbers, matrices and random streams that all parts of the theory use."""
