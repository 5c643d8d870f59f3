"""The one exception type that means "the input is wrong, not the program"."""


class InputError(ValueError):
    """Bad input: a YAML typo, an unknown name, a genotype of another space, a torn file.

    The message is one or a few plain lines that name the file, the key or argument, the value
    and what is allowed. The command line prints it without a traceback and exits with code 2;
    any other exception is a bug and keeps its traceback.
    """
