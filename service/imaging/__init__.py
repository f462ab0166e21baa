"""A picture of a digit, of any kind, to the 28x28 form that the model reads.

The steps, one file each:

    container.py  what its decoder needs of a file, tiff.py and webp.py of theirs; what would cost
                  too much is refused
    open.py       the file's pixels, upright, and grey.py those in grey
    ground.py     what is ink and what the ground it stands on, and which of them is darker
    rules.py      the lines of writing paper, taken out
    parts.py      the connected parts of the ink
    sheet.py      which of them are sheets and frames
    find.py       which are the digit
    search.py     these for every way to read the ground, the surest first
    normalise.py  the digit's strokes in MNIST's form
    look.py       all in their order

A whole number has its own ink (number_ink.py) and goes on from its parts: lines.py sorts them,
row.py takes each as it is and with its neighbours, pieces.py cuts those that are no digit, where
split.py would, lattice.py finds which cuts are real, number.py has these in their order.
"""
