"""The exceptions that users are meant to read."""


class HeadstartError(Exception):
    """Something the user can put right: its message is one line that says what was found where, and what to do."""


class MachineError(HeadstartError):
    """What the machine lacks, whatever was asked: room on a disk, memory, rights. Its cause is what was raised."""
