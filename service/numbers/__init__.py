"""Read a whole number, one or several lines of digits, in a picture."""
