"""C++ kernels of the fused decoder, their compilation, and the choice to use them."""
