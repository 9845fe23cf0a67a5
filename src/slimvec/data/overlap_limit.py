"""How much of what is scored may be trained on: alone in its file, as recipes read it before anything heavy is."""

MAX_SHARED = 0.02
"""Share above which training on scored text is refused; not 0, as thirteen words are a phrase of a licence at times."""
