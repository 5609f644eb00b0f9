"""What a cluster's nodes share, generated once."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable

from .clusters import ClusterKind

# A random number from 0 up to, but not, its argument.
Below = Callable[[int], int]

_ALPHANUMERIC = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits
# As `kairos generate-token` has it: for ever, in practice.
_INTERVAL = 9223372036854775807
_KEY_LENGTH = 43


def new_secrets(kind: ClusterKind, below: Below) -> dict[str, str]:
    """By name, in the form that the kind wants. k0s makes its own."""
    match kind:
        case ClusterKind.K3S | ClusterKind.RKE2:
            return {"token": _word(below, _ALPHANUMERIC, 48)}
        case ClusterKind.P2P:
            return {"network-token": network_token(below)}
        case ClusterKind.K0S:
            return {}
        case ClusterKind.KUBEADM:
            return {
                "token": f"{_word(below, _LOWER, 6)}.{_word(below, _LOWER, 16)}",
                "certificate-key": _word(below, string.hexdigits[:16], 64),
            }


def network_token(below: Below) -> str:
    """EdgeVPN's: base64 of its configuration as YAML, as its pkg/node/options.go reads it."""

    def key() -> str:
        return _word(below, _ALPHANUMERIC, _KEY_LENGTH)

    def otp(name: str) -> str:
        head = f"  {name}:\n    interval: {_INTERVAL}\n"
        return f'{head}    key: "{key()}"\n    length: {_KEY_LENGTH}\n'

    text = (
        f'otp:\n{otp("dht")}{otp("crypto")}room: "{key()}"\nrendezvous: "{key()}"\n'
        f'mdns: "{key()}"\nmax_message_size: {20 * 1024 * 1024}\n'
    )
    return base64.b64encode(text.encode()).decode()


def _word(below: Below, letters: str, length: int) -> str:
    return "".join(letters[below(len(letters))] for _ in range(length))
