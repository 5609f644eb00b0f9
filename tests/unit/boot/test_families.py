"""Systems beside Kairos: what each is started with, in full, and what it cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.actions import Action, Order
from kairos_netboot.boot.decide import Outcome, decide
from kairos_netboot.boot.extlinux import extlinux_config
from kairos_netboot.boot.families import (
    FAMILIES,
    check_args,
    ends_with_document,
    opens_document,
    rendered_args,
    why_unable,
)
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.grub import Where, grub_config
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.misfit import why_no_order
from kairos_netboot.boot.overdue import is_overdue
from kairos_netboot.boot.plan import BootPlan, make_plan
from kairos_netboot.boot.site import (
    Image,
    ImageFacts,
    KernelFiles,
    Medium,
    MediumKind,
    Profile,
    Template,
)
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.urls import Urls
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch, Firmware, Stage
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, blob, fleet, node

BASE = "http://192.0.2.1:8080"
TOKENS = BootTokens("d" * 32)
DOCUMENTS = f"{BASE}/documents/{'d' * 32}"
ROOTFS = f"{BASE}/boot/{MAC.hyphens}/{'3' * 64}/rootfs.img"
FACTS = ImageFacts(arch=Arch.AMD64, rootfs_format="cpio")
WITH_ROOTFS = replace(IMAGE, facts=FACTS)
WITHOUT = replace(
    IMAGE,
    facts=ImageFacts(arch=Arch.AMD64),
    files=KernelFiles(kernel=blob("1", 8_000_000), initrd=blob("2", 33_000_000)),
)


def profile_of(family: str, action: Action = Action.INSTALL, **changes: object) -> Profile:
    template = Template(name="document", text="")
    fields: dict[str, object] = {"templates": (template,), "disks": ("/dev/sda",), **changes}
    return replace(PROFILE, family=family, action=action, **fields)  # type: ignore[arg-type]


def plan_of(profile: Profile, image: Image = WITHOUT, loader: Stage = Stage.IPXE) -> BootPlan:
    decision = decide(fleet(node(), profile=profile, image=image), MAC, Firmware.BIOS, Arch.AMD64)
    assert decision.loads, decision.reason
    return make_plan(decision, MAC, Urls(BASE), TOKENS, loader)


def line_of(profile: Profile, image: Image = WITHOUT) -> str:
    return plan_of(profile, image).command_line


def test_talos_is_told_where_its_machine_config_is() -> None:
    assert line_of(profile_of("talos", disks=())) == (
        "initrd=initrd talos.platform=metal slab_nomerge pti=on "
        f"talos.config={DOCUMENTS}/machine-config.yaml"
    )


def test_talos_in_memory_gets_no_machine_config_it_would_install_by() -> None:
    line = "initrd=initrd talos.platform=metal slab_nomerge pti=on"
    assert line_of(profile_of("talos", Action.RAM)) == line


def test_flatcars_installer_reads_a_config_of_its_own() -> None:
    assert line_of(profile_of("flatcar")) == (
        f"initrd=initrd flatcar.first_boot=1 ignition.config.url={DOCUMENTS}/installer.ign"
    )


def test_flatcar_in_memory_reads_the_nodes_config() -> None:
    assert line_of(profile_of("flatcar", Action.RAM)) == (
        f"initrd=initrd flatcar.first_boot=1 ignition.config.url={DOCUMENTS}/config.ign"
    )


def test_fedora_coreos_is_installed_by_its_live_system() -> None:
    assert line_of(profile_of("fedora-coreos"), WITH_ROOTFS) == (
        "initrd=initrd ignition.firstboot ignition.platform.id=metal "
        f"coreos.live.rootfs_url={ROOTFS} ignition.config.url={DOCUMENTS}/installer.ign "
        f"coreos.inst.install_dev=/dev/sda coreos.inst.ignition_url={DOCUMENTS}/config.ign"
    )


def test_fedora_coreos_in_memory_is_told_no_disk() -> None:
    assert line_of(profile_of("fedora-coreos", Action.RAM), WITH_ROOTFS) == (
        "initrd=initrd ignition.firstboot ignition.platform.id=metal "
        f"coreos.live.rootfs_url={ROOTFS} ignition.config.url={DOCUMENTS}/config.ign"
    )


def test_k3os_installs_from_the_iso_that_is_its_rootfs() -> None:
    assert line_of(profile_of("k3os"), WITH_ROOTFS) == (
        "initrd=initrd k3os.mode=install k3os.install.silent=true "
        f"k3os.install.device=/dev/sda k3os.install.config_url={DOCUMENTS}/config.yaml "
        f"k3os.install.iso_url={ROOTFS}"
    )


def test_k3os_without_a_rootfs_has_its_iso_from_the_kernel_args() -> None:
    args = ("k3os.install.iso_url=http://mirror/k3os.iso",)
    line = line_of(profile_of("k3os", kernel_args=args))
    assert line.endswith("/config.yaml k3os.install.iso_url=http://mirror/k3os.iso")


def test_a_generic_line_is_the_sites_own_with_its_places_filled_in() -> None:
    args = (
        "console=ttyS0",
        "config={{ document_url }}",
        "root={{rootfs_url}}",
        "from={{ server_url }},{{ report_url }},{{ mac }}",
    )
    assert line_of(profile_of("generic", kernel_args=args), WITH_ROOTFS) == (
        f"initrd=initrd console=ttyS0 config={DOCUMENTS}/document root={ROOTFS} "
        f"from={BASE},{BASE}/reports/{TOKENS.report},{MAC}"
    )


def test_places_are_filled_in_for_every_family() -> None:
    line = line_of(profile_of("talos", kernel_args=("x={{ mac }}",)))
    assert line.endswith(f" x={MAC}")


def test_kairos_words_mean_nothing_to_others() -> None:
    line = line_of(profile_of("generic", kernel_args=("kairos.reset", "install-mode")))
    assert line == "initrd=initrd kairos.reset install-mode"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("x={{ documents_url }}",), r"'\{\{ documents_url \}\}', known are document_url"),
        (("x={{ rootfs_url }}",), "but there is no rootfs"),
        (("a" * 2048,), "the kernel reads 2047: shorten kernel-args"),
    ],
)
def test_a_line_that_cannot_be_made_is_refused(args: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        line_of(profile_of("generic", kernel_args=args))


def test_a_place_for_a_document_wants_one() -> None:
    profile = profile_of("generic", kernel_args=("x={{ document_url }}",), templates=())
    with pytest.raises(InvalidValue, match="but there is no document"):
        line_of(profile)


@pytest.mark.parametrize("arg", ["x={{ document-url }}", "{{", "x={{ }}", "{{ Mac }}"])
def test_places_written_wrongly_are_refused_early(arg: str) -> None:
    with pytest.raises(InvalidValue, match="written like"):
        check_args(arg)


@given(st.text(max_size=60))
@example("{{ mac }}{{")
@example("{{{{ mac }}}}")
def test_any_argument_is_filled_in_or_refused(arg: str) -> None:
    try:
        check_args(arg)
    except InvalidValue:
        return
    (done,) = rendered_args([arg], dict.fromkeys(("document_url", "rootfs_url", "mac"), "x"))
    assert "{{ mac }}" not in done


def test_the_whole_script() -> None:
    files = f"{BASE}/boot/{MAC.hyphens}"
    assert load_scripts().install(plan_of(profile_of("talos", disks=()))) == (
        "#!ipxe\n"
        "# kairos-netboot: alpha, installer start 1 of at most 3\n"
        f"# image debian sha256:{'0' * 64}\n"
        "echo kairos-netboot: alpha installs debian (1 of at most 3 tries)\n"
        "imgfree\n"
        f"kernel --name kernel {files}/{'1' * 64}/kernel initrd=initrd talos.platform=metal "
        f"slab_nomerge pti=on talos.config={DOCUMENTS}/machine-config.yaml || goto failed\n"
        f"initrd --name initrd {files}/{'2' * 64}/initrd || goto failed\n"
        "boot || goto failed\n"
        "\n"
        ":failed\n"
        "echo kairos-netboot: alpha could not start the installer; the line above says why\n"
        f"imgfetch --name report {BASE}/reports/{TOKENS.report}/boot-failed ||\n"
        "sleep 10\n"
        "reboot\n"
    )


def test_other_loaders_get_no_name_of_the_initrd() -> None:
    profile = profile_of("flatcar")
    grub = grub_config(load_scripts(), plan_of(profile, loader=Stage.GRUB), where=Where.HTTP)
    assert "'flatcar.first_boot=1'" in grub
    assert "initrd=initrd" not in grub
    plan = plan_of(profile, loader=Stage.UBOOT)
    uboot = extlinux_config(load_scripts(), plan, device_trees=False)
    assert "  APPEND flatcar.first_boot=1 ignition.config.url=" in uboot


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("action", [Action.RESCUE, Action.RECOVERY, Action.SHELL, Action.WIPE])
def test_what_only_kairos_does_is_ordered_of_nobody_else(family: str, action: Action) -> None:
    profile = profile_of(family)
    one = node(State.CONDEMNED, order=Order(action=action))
    here = fleet(one, profile=profile, image=WITHOUT)
    assert f"'{action}' is nothing that {family} does here" in why_no_order(here, one, action)
    assert decide(here, MAC, Firmware.BIOS, Arch.AMD64).outcome is Outcome.NOTHING


def test_k3os_does_not_run_from_memory() -> None:
    assert why_unable(profile_of("k3os"), WITHOUT, Action.RAM) == (
        "'ram' is nothing that k3os does here: it has 'install'"
    )


def test_a_profile_of_a_family_that_is_gone_does_nothing() -> None:
    assert why_unable(profile_of("haiku"), WITHOUT, Action.INSTALL) == (
        "no family 'haiku' is known here"
    )


def test_one_file_for_the_firmware_is_for_kairos_alone() -> None:
    image = replace(IMAGE, files=Medium(blob=blob("4", 9), kind=MediumKind.EFI))
    assert "is one efi file" in why_unable(profile_of("talos"), image, Action.INSTALL)
    assert why_unable(PROFILE, image, Action.INSTALL) == ""


@pytest.mark.parametrize("image", [WITHOUT, WITH_ROOTFS])
def test_kairos_boots_from_a_squashfs_alone(image: Image) -> None:
    decision = decide(fleet(node(), image=image), MAC, Firmware.BIOS, Arch.AMD64)
    assert decision.outcome is Outcome.NOTHING
    assert "has no squashfs as its rootfs, which Kairos boots from" in decision.reason


def test_an_old_version_is_no_reason_against_another_system() -> None:
    image = replace(WITHOUT, facts=replace(WITHOUT.facts, version="v1.0.0"))
    assert plan_of(profile_of("flatcar", Action.RAM), image).action is Action.RAM


def _installed(family: str, state: State, action: Action = Action.INSTALL) -> tuple[Fleet, Node]:
    one = node(state, running=action)
    return fleet(one, profile=profile_of(family), image=WITHOUT), one


@pytest.mark.parametrize("family", ["talos", "k3os"])
def test_a_document_that_ends_an_install_may_be_read_again(family: str) -> None:
    assert ends_with_document(*_installed(family, State.BOOTING))
    assert opens_document(*_installed(family, State.BOOTING))
    assert opens_document(*_installed(family, State.INSTALLED))
    for state in (State.READY, State.FAILED, State.IDLE, State.WIPED):
        assert not opens_document(*_installed(family, state))


@pytest.mark.parametrize("family", ["flatcar", "fedora-coreos", "generic", "kairos"])
def test_where_reports_end_an_install_they_close_the_document(family: str) -> None:
    assert not ends_with_document(*_installed(family, State.BOOTING))
    assert opens_document(*_installed(family, State.BOOTING))
    assert not opens_document(*_installed(family, State.INSTALLED))


def test_a_boot_from_memory_ends_nothing() -> None:
    assert not ends_with_document(*_installed("talos", State.LIVE, Action.RAM))


def test_a_system_that_never_tells_is_not_waited_for() -> None:
    live = node(State.LIVE, running=Action.RAM)
    assert not is_overdue(live, profile_of("talos", Action.RAM), 1e9)
    assert is_overdue(live, profile_of("flatcar", Action.RAM), 1e9)
    assert is_overdue(node(State.BOOTING), profile_of("talos"), 1e9)
