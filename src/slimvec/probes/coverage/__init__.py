"""What a tokenizer can read: the same sentences in many languages, a user's file, or the characters of each script."""
