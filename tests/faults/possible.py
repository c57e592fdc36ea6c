"""What a machine cannot do."""


class NotPossibleError(RuntimeError):
    """This machine cannot have this fault; the message says why."""
