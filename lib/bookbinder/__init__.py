"""The machinery: from book.toml and the lessons' text to notebooks, checks and the HTML book."""
