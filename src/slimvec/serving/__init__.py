"""Models behind an API: OpenAI's embeddings, text-embeddings-inference's routes, search over an index, a web page."""
