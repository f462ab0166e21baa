"""Read a whole number, one or several lines of digits, in a picture.

ink.py finds the ink and lines.py groups its components into digits and lines. row.py proposes
what could be one digit, split.py where to cut digits that touch, and lattice.py picks the best path
through the proposals. number.py runs these steps.
"""
