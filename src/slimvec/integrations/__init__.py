"""slimvec's models as embedding parts of other libraries: LangChain, LlamaIndex, Haystack.

Each module needs its library (`pip install 'slimvec[integrations]'`) and imports nothing heavy until it is used.
"""
