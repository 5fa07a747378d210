"""Small decision problems from the literature, whose answers are published."""
