"""Real images: the embedded ones or anyone's, which of them a run takes, and training sets."""
