"""How a model's vectors lie in their space: spread, dimension, hubs, and whether they stay the same."""
