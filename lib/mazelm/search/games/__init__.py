"""Small games with a perfect player to play against."""
