"""The algorithms of the book, one copy of each, in the order in which it teaches them."""
