"""Models: backbones, attention modes, pooling, heads, and their files on disk."""
