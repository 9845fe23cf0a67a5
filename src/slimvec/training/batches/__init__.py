"""Which examples make up a step, and the token sequences they become."""
