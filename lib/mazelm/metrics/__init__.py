"""Chapter 1: how to measure a model."""
