"""The one exception that users are meant to read."""


class HeadstartError(Exception):
    """Something the user can put right: its message is one line that says what was found where, and what to do."""
