"""What theory and measured chains say about each other: fits, predictions, derivations."""
