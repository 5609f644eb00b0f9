"""The one tree of errors a person gets to read.

NetbootError
├── InvalidValue        a text that is no MAC, digest, reference, …
├── MalformedPacket     a datagram that breaks its protocol
├── SiteMistake         the site file, with file, line and key
├── UnknownName         a node, profile, image that is not here
├── ImageProblem        an image that cannot become boot files
├── DocumentProblem     a cloud-config that would break an install
├── StoreProblem        the state directory or its database
├── CannotServe         a port, a right or a file that serving needs
├── PowerProblem        a machine that could not be switched
└── ToolMissing         a program that is not installed

Each message is one line: the thing, the place, the way out.
"""

from __future__ import annotations


class NetbootError(Exception):
    """Something a person can mend. `details` is printed with -v only."""

    http_status = 500

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class InvalidValue(NetbootError, ValueError):
    http_status = 400


class MalformedPacket(NetbootError):
    pass


class SiteMistake(NetbootError):
    pass


class UnknownName(NetbootError):
    http_status = 404


class ImageProblem(NetbootError):
    pass


class DocumentProblem(NetbootError):
    pass


class StoreProblem(NetbootError):
    pass


class CannotServe(NetbootError):
    pass


class PowerProblem(NetbootError):
    pass


class ToolMissing(NetbootError):
    pass
