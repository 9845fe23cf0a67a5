"""The one reason the fused decoder gives for not taking a model."""


class UnsupportedError(Exception):
    """The fused decoder does not do what this model asks for; the transformers path does.

    Not a failure: callers record the reason beside the path they took.

    Args:
        reason: What the model has that is not done, in a few words.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
