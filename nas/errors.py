"""The exceptions that the command line reports without a traceback."""


class InputError(ValueError):
    """Bad input: a YAML typo, an unknown name, a genotype of another space, a torn file.

    The message is one or a few plain lines that name the file, the key or argument, the value
    and what is allowed. The command line prints it without a traceback and exits with code 2;
    any other exception is a bug and keeps its traceback.
    """


class CampaignError(RuntimeError):
    """A campaign cannot go on, though its input is well formed and its records are safe.

    Examples: the first trials all failed, or the disk is full. This is neither bad input
    (:class:`InputError`) nor a bug. The message says what to do. The command line prints it
    without a traceback and exits with code 1.
    """
