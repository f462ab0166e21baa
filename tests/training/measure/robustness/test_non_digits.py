from __future__ import annotations

import numpy as np

from tests.training.digits import few
from training.data import synthetic
from training.data.synthetic import fonts
from training.measure.robustness import non_digits

DIGITS = few(10, 40).test_images
NEW = non_digits.new(DIGITS)


def test_every_new_kind_has_as_many_images_as_there_are_digits_the_same_each_time() -> None:
    again = non_digits.new(DIGITS)
    for name, pictures in NEW.items():
        assert (pictures.shape, pictures.dtype) == (DIGITS.shape, DIGITS.dtype), name
        assert pictures.flags.c_contiguous, name
        assert len({bytes(picture) for picture in pictures}) > 30, name
        np.testing.assert_array_equal(again[name], pictures)
    np.testing.assert_array_equal(non_digits.printed_digits(9)[0], non_digits.printed_digits(9)[0])


def test_no_font_held_out_is_trained_on_and_no_glyph_of_it_is() -> None:
    assert not set(fonts.FONTS_HELD_OUT) & set(fonts.FONTS)
    assert len(fonts.FONTS_HELD_OUT) == 6
    known = {bytes(picture) for picture in synthetic.printed_digits()[0]}
    held_out, _ = synthetic.printed_digits(fonts.FONTS_HELD_OUT)
    assert not known & {bytes(picture) for picture in held_out}


def test_new_kinds_have_other_names_than_those_of_the_training_data() -> None:
    known = non_digits.known(DIGITS[:5])
    assert not set(known) & set(NEW)
    assert set(known) == {*synthetic.KINDS, "blank"}
    assert not known["blank"].any()


def test_no_measured_symbol_is_in_the_training_data_and_every_symbol_is_in_its_fonts() -> None:
    """A font draws the same box for all that it has not."""
    measured = non_digits.CYRILLIC + non_digits.SYMBOLS
    assert not set(measured) & set(fonts.SYMBOLS + fonts.LETTERS)
    for symbols in (measured, fonts.SYMBOLS):
        drawn = fonts.glyphs(symbols, fonts.WITH_SYMBOLS[:1])
        assert len({bytes(glyph) for glyph in drawn}) == len(drawn)


def test_shuffling_keeps_every_pixel() -> None:
    shuffled = NEW["shuffled pixels"].reshape(len(DIGITS), -1)
    before = np.sort(DIGITS.reshape(len(DIGITS), -1), axis=1)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), before)


def test_printed_digits_match_their_labels() -> None:
    """A slightly moved picture is nearest to a picture of the same digit."""
    pictures, digits = non_digits.printed_digits(200)
    drawn, known = synthetic.printed_digits(fonts.FONTS_HELD_OUT)
    flat, glyphs = (p.reshape(len(p), -1).astype(np.float32) for p in (pictures, drawn))
    nearest = np.linalg.norm(flat[:, np.newaxis] - glyphs, axis=2).argmin(axis=1)
    assert (known[nearest] == digits).mean() > 0.6
    assert set(digits) == set(range(10))
