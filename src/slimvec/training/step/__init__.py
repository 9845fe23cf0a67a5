"""One step: the model run on a batch, the loss, its exact gradient, and the weights that move."""
