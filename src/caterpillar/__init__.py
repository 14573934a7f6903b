"""A laboratory for accelerators that train neural networks."""
