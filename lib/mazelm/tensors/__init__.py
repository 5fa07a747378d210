"""Chapter 2: where the numbers of a tensor lie, how shapes combine, and how gradients are computed."""
