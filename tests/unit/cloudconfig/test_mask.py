import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.mask import is_secret_name, mask, mask_text
from kairos_netboot.cloudconfig.yamlnodes import parse

TOKEN = "0123456789abcdef0123456789abcdef"


def masked(text: str, **variables: object) -> str:
    return mask("#cloud-config\n" + text, variables).removeprefix("#cloud-config\n")


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "K3S_TOKEN",
        "network_token",
        "registration_token",
        "passwd",
        "adminPassword",
        "secrets",
        "private_key",
        "apiKey",
        "psk",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["ssh_authorized_keys", "lock_passwd", "tokenizer", "keyboard", "cosign-key", "name"]
)
def test_names_of_what_is_none(name: str) -> None:
    assert not is_secret_name(name)


def test_what_has_a_secrets_name_is_hidden_and_the_rest_is_not() -> None:
    assert masked(
        "hostname: n1\n"
        "users:\n- name: kairos\n  passwd: hunter2\n  lock_passwd: true\n"
        "  ssh_authorized_keys: [ssh-ed25519 AAAA me]\n"
        "p2p: {network_token: b3RwOg==, auto: {enable: true}}\n"
        "secrets:\n- one\n- {two: 2}\n"
    ) == (
        "hostname: n1\n"
        "users:\n- name: kairos\n  passwd: '********'\n  lock_passwd: true\n"
        "  ssh_authorized_keys: [ssh-ed25519 AAAA me]\n"
        "p2p: {network_token: '********', auto: {enable: true}}\n"
        "secrets:\n- '********'\n- {two: '********'}\n"
    )


def test_an_empty_secret_is_shown_to_be_empty() -> None:
    assert masked('token: ""\npasswd:\n') == 'token: ""\npasswd:\n'


def test_the_addresses_of_this_boot_are_hidden() -> None:
    text = f"a: http://10.0.0.1:8080/documents/{TOKEN}/x\nb: http://h/reports/{TOKEN}\n"
    assert masked(text) == (
        "a: http://10.0.0.1:8080/documents/********/x\nb: http://h/reports/********\n"
    )


def test_digests_of_blobs_are_not_secrets() -> None:
    text = f"a: http://10.0.0.1/boot/52-54-00-12-34-56/{TOKEN}{TOKEN}/kernel\n"
    assert masked(text) == text


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("K3S_TOKEN=abc run", "K3S_TOKEN=******** run"),
        ("join --token abc --now", "join --token ******** --now"),
        ("join --token=abc", "join --token=********"),
        ("password: 'a b'", "password: ********"),
        ("https://me:pw@host/x", "https://me:********@host/x"),
        ("curl -H 'Authorization: Bearer abc'", "curl -H 'Authorization: Bearer ********'"),
        ("root:$6$salt$abcdefghij:1", "root:$6$********:1"),
    ],
)
def test_secrets_within_texts_are_hidden(shown: str, hidden: str) -> None:
    assert masked(f"a: |-\n  {shown}\n") == f"a: |-\n  {hidden}\n"


@pytest.mark.parametrize("text", ["the token is old", "ls --tokens --all", "http://h:80/a@b"])
def test_words_alone_hide_nothing(text: str) -> None:
    assert masked(f"a: |-\n  {text}\n") == f"a: |-\n  {text}\n"


def test_a_private_key_is_hidden_between_its_lines() -> None:
    assert masked(
        "a: |\n  -----BEGIN EC PRIVATE KEY-----\n  AA\n  BB\n  -----END EC PRIVATE KEY-----\n"
    ) == ("a: |\n  -----BEGIN EC PRIVATE KEY-----\n  ********\n  -----END EC PRIVATE KEY-----\n")


def test_the_item_after_an_option_is_its_secret() -> None:
    assert masked("args: [--token, abc, --debug]\n") == ("args: [--token, '********', --debug]\n")


def test_an_encoded_file_is_hidden() -> None:
    assert masked("- {path: /a, encoding: b64, content: AAAA}\n") == (
        "- {path: /a, encoding: b64, content: '********'}\n"
    )
    assert "AAAA" in masked("- {path: /a, content: AAAA}\n")


def test_a_secret_variable_is_hidden_wherever_it_went() -> None:
    text = "stages: {boot: [{commands: [join hunter2hunter2 now]}]}\n"
    assert "hunter2" not in masked(text, join_token="hunter2hunter2")
    assert "hunter2" not in masked(text, cluster={"secrets": ["hunter2hunter2"]})
    assert "hunter2" in masked(text, harmless="hunter2hunter2")


def test_a_secret_of_the_document_is_hidden_wherever_it_went() -> None:
    assert "correcthorse" not in masked("passwd: correcthorse\na: echo correcthorse\n")


def test_a_short_password_does_not_blot_out_a_word() -> None:
    assert masked("passwd: kairos\nname: kairos\n") == "passwd: '********'\nname: kairos\n"


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["C"]), min_size=8, max_size=40))
def test_whatever_the_secret_is_it_is_gone_and_the_rest_is_yaml(secret: str) -> None:
    quoted = "'" + secret.replace("'", "''") + "'"
    shown = mask(f"K3S_TOKEN: {quoted}\nargs: ['--token', {quoted}, {quoted}]\n", {})
    parse(shown, "masked")
    if "*" not in secret:
        assert secret not in shown


@pytest.mark.parametrize(
    "line",
    [
        "smtp_pass: hunter2",
        "chpasswd: {list: 'root:hunter2'}",
        "encryption_key: hunter2",
        "auth-key: hunter2",
        "auth: hunter2",
        "client-key-data: hunter2",
        "commands: [\"echo 'root:hunter2' | chpasswd\"]",
    ],
)
def test_other_names_for_secrets_are_known_too(line: str) -> None:
    assert "hunter2" not in mask(f"#cloud-config\n{line}\n", {})


def test_a_public_key_stays() -> None:
    text = "#cloud-config\nusers:\n- name: kairos\n  ssh_authorized_keys: [ssh-ed25519 AAAAC3Nz]\n"
    assert "AAAAC3Nz" in mask(text, {})


def test_a_log_hides_what_a_document_does() -> None:
    said = (
        f"GET http://x/documents/{TOKEN}/cloud-config.yaml\npasswd: swordfish\nuser of xyzzy-plugh"
    )
    hidden = mask_text(said, {"node": {"api_key": "xyzzy-plugh"}})
    assert hidden == (
        "GET http://x/documents/********/cloud-config.yaml\npasswd: ********\nuser of ********"
    )


def test_a_log_without_secrets_stays_as_it_is() -> None:
    said = "[    1.0] Linux version 6.1\n: not a document"
    assert mask_text(said, {"name": "Linux"}) == said
