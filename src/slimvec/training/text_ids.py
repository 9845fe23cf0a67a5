"""Numbers for texts, as training uses them; they are the data layer's."""

from slimvec.data.text_ids import text_id, text_ids

__all__ = ["text_id", "text_ids"]
