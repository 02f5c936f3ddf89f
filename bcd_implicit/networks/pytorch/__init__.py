"""PyTorch's layers and operations as expressions of a network, by name; and a model as a PyTorch module."""
