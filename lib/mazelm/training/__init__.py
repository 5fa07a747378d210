"""Chapter 3: data in batches, layers, optimisers, the training loop, and checkpoints that resume exactly."""
