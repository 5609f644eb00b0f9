from kairos_netboot.cloudconfig.hooks import hook_stages
from kairos_netboot.cloudconfig.vocabulary import INSTALL_FLAGS, INSTALL_KEYS, STAGES, TOP_KEYS
from kairos_netboot.cloudconfig.yamlnodes import triples


def test_the_stages_we_hook_into_are_known() -> None:
    ours = {stage for stage, _, _ in triples(hook_stages("http://192.0.2.1/reports/t"))}
    assert ours <= set(STAGES)


def test_every_flag_is_an_install_key() -> None:
    assert set(INSTALL_FLAGS) <= set(INSTALL_KEYS)


def test_no_word_stands_twice() -> None:
    for words in (TOP_KEYS, INSTALL_KEYS, STAGES):
        assert len(set(words)) == len(words)
