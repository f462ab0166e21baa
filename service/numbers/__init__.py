"""Read a whole number, one or several lines of digits, in a picture.

lines.py finds ink and groups it into digits and lines. row.py proposes what could be one digit and
where to cut, and lattice.py picks the best path through that. number.py runs these steps.
"""
