"""The kernels of the fused decoder: C++ sources, the shared library made of them, and how Python calls it."""
