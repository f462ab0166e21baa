"""A whole number in a picture: lines, groups of strokes, digits."""
