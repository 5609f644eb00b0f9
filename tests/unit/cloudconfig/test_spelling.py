from kairos_netboot.cloudconfig.spelling import hint, hint_or_known, nearest


def test_a_slip_finds_the_word_that_was_meant() -> None:
    assert nearest("hostnam", ["users", "hostname"]) == "hostname"


def test_a_hyphen_for_an_underscore_is_a_slip() -> None:
    assert nearest("grub-options", ["grub_options"]) == "grub_options"


def test_a_far_word_finds_nothing() -> None:
    assert nearest("zebra", ["users", "hostname"]) is None
    assert hint("zebra", ["users"]) == ""


def test_the_hint_is_ready_to_be_appended() -> None:
    assert hint("user", ["users"]) == "; nearest: 'users'"


def test_where_nothing_is_near_all_that_is_known_is_told() -> None:
    assert hint_or_known("user", ["users", "x"]) == "; nearest: 'users'"
    assert hint_or_known("zebra", ["users", "x"]) == "; known: users, x"
    assert hint_or_known("zebra", []) == "; known: none"
