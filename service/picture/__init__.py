"""A picture of a digit, of any kind, to the 28x28 form that the model reads.

The steps, one file each:

    container.py  what its decoder needs of a file; what would cost too much is refused
    open.py       the file's pixels, grey and upright
    ground.py     what is ink and what the ground it stands on, and which of them is darker
    rules.py      the lines of writing paper, taken out
    parts.py      the connected parts of the ink
    find.py       which parts are the digit
    normalise.py  the digit's strokes in MNIST's form
    look.py       these in their order

A whole number goes on from the parts: lines.py sorts them, split.py cuts them in all likely ways,
lattice.py finds which cuts are real, number.py has these in their order.
"""
