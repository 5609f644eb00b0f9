from __future__ import annotations

import re

from kairos_netboot.boot.tokens import BootTokens, key_of


def test_tokens_are_hexadecimal_and_differ() -> None:
    tokens = BootTokens.from_random(bytes(range(16)))
    for token in (tokens.document, tokens.report):
        assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert tokens.document != tokens.report


def test_keys_are_not_the_tokens_and_open_only_their_own() -> None:
    tokens = BootTokens.from_random(bytes(range(16)))
    assert tokens.document_key == key_of(tokens.document) != tokens.document
    assert tokens.report_key == key_of(tokens.report) != tokens.document_key


def test_other_random_bytes_make_other_tokens() -> None:
    assert BootTokens.from_random(bytes(16)) != BootTokens.from_random(bytes(15) + b"\1")
