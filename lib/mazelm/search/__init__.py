"""Thinking ahead: learned models, Dyna, and Monte Carlo tree search (chapter 12)."""
