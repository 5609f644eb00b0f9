"""What clusters' nodes share, in the forms that their software reads."""

from __future__ import annotations

import base64
import random
import re

import yaml

from kairos_netboot.boot.clusters import ClusterKind
from kairos_netboot.boot.clustersecrets import network_token, new_secrets

BELOW = random.Random(5).randrange


def test_a_network_token_is_what_edgevpn_reads() -> None:
    told = yaml.safe_load(base64.b64decode(network_token(BELOW), validate=True))
    assert told.keys() == {"otp", "room", "rendezvous", "mdns", "max_message_size"}
    assert told["otp"].keys() == {"dht", "crypto"}
    keys = [told["room"], told["rendezvous"], told["mdns"]]
    for part in told["otp"].values():
        assert (part["interval"], part["length"]) == (9223372036854775807, 43)
        keys.append(part["key"])
    assert all(re.fullmatch(r"[A-Za-z0-9]{43}", key) for key in keys)
    assert len(set(keys)) == 5
    assert told["max_message_size"] == 20971520


def test_keys_of_digits_alone_stay_texts() -> None:
    told = yaml.safe_load(base64.b64decode(network_token(lambda below: below - 1)))
    assert told["room"] == "9" * 43


def test_kubeadms_token_and_key_have_its_form() -> None:
    made = new_secrets(ClusterKind.KUBEADM, BELOW)
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", made["token"])
    assert re.fullmatch(r"[0-9a-f]{64}", made["certificate-key"])


def test_k3s_and_rke2_have_a_token_and_k0s_makes_its_own() -> None:
    for kind in (ClusterKind.K3S, ClusterKind.RKE2):
        assert re.fullmatch(r"[A-Za-z0-9]{48}", new_secrets(kind, BELOW)["token"])
    assert new_secrets(ClusterKind.K0S, BELOW) == {}
    assert list(new_secrets(ClusterKind.P2P, BELOW)) == ["network-token"]
