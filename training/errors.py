"""The exception that ``train`` and ``models`` report in one line, without a traceback."""


class TrainingError(Exception):
    """The run cannot go on. The text is one line that says what is wrong, and where."""


def one_line(error: BaseException) -> str:
    """Returns the text of an exception of a library on one line, cut to 400 characters."""
    return " ".join(str(error).split())[:400]
