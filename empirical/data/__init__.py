"""Real images: embedded or a user's, the choice of a run among them, and training sets."""
