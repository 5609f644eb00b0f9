from __future__ import annotations

import pytest

from kairos_netboot.boot.site import ImageFacts
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.kernel import KernelFacts
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.rootfs import BootTree, facts_from, find_boot_files, parse_release
from kairos_netboot.images.tree import Inode, find
from kairos_netboot.values import Arch
from tests.images_factory import RELEASE, Entry, file, folder, kairos_entries, stored, symlink

NO_KERNEL_FACTS = KernelFacts()


def boot_of(entries: list[Entry]) -> tuple[Inode, BootTree]:
    root = index_layers(stored(entries))
    return root, find_boot_files(root)


def kernel_is(entries: list[Entry], path: str, version: str) -> bool:
    root, boot = boot_of([file("boot/initrd", b"i"), *entries])
    found = find(root, path)
    return found is not None and boot.kernel.inode is found.inode and boot.kernel_version == version


def modules(*versions: str) -> list[Entry]:
    return [folder(f"usr/lib/modules/{version}") for version in versions]


def kernels(*names: str) -> list[Entry]:
    return [file(f"boot/{name}", name) for name in names]


def test_the_kernel_that_the_link_names_wins_over_a_newer_one() -> None:
    entries = [*kernels("vmlinuz-5", "vmlinuz-6"), *modules("5", "6")]
    assert kernel_is([*entries, symlink("boot/vmlinuz", "/boot/vmlinuz-5")], "boot/vmlinuz-5", "5")


@pytest.mark.parametrize(
    ("name", "link", "version"),
    [
        ("vmlinuz-6.1.0-10-amd64", "/boot/vmlinuz-6.1.0-10-amd64", "6.1.0-10-amd64"),
        ("vmlinux-6.6", "vmlinux-6.6", "6.6"),
        ("Image-6.4", "../boot/Image-6.4", "6.4"),
        ("zImage-6.4", "zImage-6.4", "6.4"),
    ],
)
def test_kernels_of_all_architectures_are_known(name: str, link: str, version: str) -> None:
    entries = [*kernels(name), symlink("boot/vmlinuz", link), *modules(version)]
    assert kernel_is(entries, f"boot/{name}", version)


def test_a_kernel_under_a_plain_name_takes_its_version_from_its_modules() -> None:
    assert kernel_is([*kernels("vmlinuz"), *modules("6.1")], "boot/vmlinuz", "6.1")


def test_a_plain_kernel_among_several_module_trees_states_no_version() -> None:
    assert kernel_is([*kernels("vmlinuz"), *modules("6.1", "6.2")], "boot/vmlinuz", "")


def test_alpines_kernel_is_named_after_its_flavour() -> None:
    entries = [*kernels("vmlinuz-lts"), symlink("boot/vmlinuz", "vmlinuz-lts")]
    assert kernel_is(
        [*entries, *modules("6.6.4-0-lts", "6.6.4-0-rpi")], "boot/vmlinuz", "6.6.4-0-lts"
    )


def test_a_kernel_beside_its_modules_has_their_version() -> None:
    entries = [file("usr/lib/modules/6.9/vmlinuz", b"k"), folder("usr/lib/modules/6.8")]
    link = symlink("boot/vmlinuz", "/lib/modules/6.9/vmlinuz")
    usr_merge = symlink("lib", "usr/lib")
    assert kernel_is([*entries, link, usr_merge], "usr/lib/modules/6.9/vmlinuz", "6.9")


def test_without_a_link_the_newest_kernel_that_has_modules_is_taken() -> None:
    entries = kernels("vmlinuz-6.1.0-9", "vmlinuz-6.1.0-10", "vmlinuz-6.1.0-11", "Image-5.9")
    assert kernel_is(
        [*entries, *modules("6.1.0-9", "6.1.0-10", "5.9")], "boot/vmlinuz-6.1.0-10", "6.1.0-10"
    )


def test_a_dangling_link_falls_back_to_the_newest_kernel() -> None:
    entries = [symlink("boot/vmlinuz", "/boot/gone"), *kernels("vmlinuz-6"), *modules("6")]
    assert kernel_is(entries, "boot/vmlinuz-6", "6")


def test_modules_of_the_older_layout_count() -> None:
    assert kernel_is([*kernels("vmlinuz-6"), folder("lib/modules/6")], "boot/vmlinuz-6", "6")


@pytest.mark.parametrize(
    "entries",
    [[], kernels("vmlinuz-6"), [file("boot/vmlinuz", b"")], [folder("boot/vmlinuz")]],
)
def test_an_image_without_a_kernel_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(ImageProblem, match="no kernel, neither /boot/vmlinuz"):
        boot_of([file("boot/initrd", b"i"), *entries])


def test_a_looping_kernel_link_is_told() -> None:
    with pytest.raises(ImageProblem, match="/boot/vmlinuz is a loop"):
        boot_of([symlink("boot/vmlinuz", "vmlinuz")])


def test_an_image_for_trusted_boot_is_told_so() -> None:
    with pytest.raises(ImageProblem, match="a kernel but no /boot/initrd, as images for trusted"):
        boot_of(kernels("vmlinuz"))


def test_one_file_as_kernel_and_initrd_is_refused() -> None:
    with pytest.raises(ImageProblem, match="initrd is its kernel"):
        boot_of([*kernels("vmlinuz"), symlink("boot/initrd", "vmlinuz")])


def test_the_kernels_config_and_the_release_file_are_found() -> None:
    root, boot = boot_of(kairos_entries())
    assert boot.config == find(root, "/boot/config-6.1.0-10-amd64")
    assert boot.release == find(root, "/etc/kairos-release")


def test_os_release_stands_in_for_kairos_release() -> None:
    entries = [e for e in kairos_entries() if "kairos-release" not in e.name]
    link = symlink("etc/os-release", "../usr/lib/os-release")
    root, boot = boot_of([*entries, link, file("usr/lib/os-release", RELEASE)])
    assert boot.release == find(root, "/usr/lib/os-release")


def facts(
    release: str = "", arch: Arch = Arch.AMD64, kernel: KernelFacts = NO_KERNEL_FACTS
) -> ImageFacts:
    return facts_from(release, kernel_version="6", arch=arch, kernel=kernel)


def test_facts_come_from_the_release_file() -> None:
    stated = facts(RELEASE)
    assert (stated.flavor, stated.flavor_release, stated.variant) == ("debian", "bookworm", "core")
    assert (stated.model, stated.version, stated.kernel_version) == ("generic", "v4.2.0", "6")


def test_facts_that_are_not_stated_are_empty() -> None:
    stated = facts("ID=debian\n", Arch.ARM64)
    assert (stated.arch, stated.flavor, stated.version) == (Arch.ARM64, "", "")


def test_a_release_file_for_another_architecture_is_refused() -> None:
    with pytest.raises(ImageProblem, match="manifest says arm64, its /etc/kairos-release amd64"):
        facts(RELEASE, Arch.ARM64)


def test_the_older_name_of_the_architecture_counts() -> None:
    with pytest.raises(ImageProblem, match="riscv64"):
        facts("KAIROS_TARGETARCH=riscv64")


def test_a_kernel_for_another_architecture_is_refused() -> None:
    with pytest.raises(ImageProblem, match=r"^it is made for amd64, its kernel for arm64: "):
        facts(RELEASE, kernel=KernelFacts(arch=Arch.ARM64, efi_stub=True))


@pytest.mark.parametrize("arch", [Arch.AMD64, None])
def test_a_kernel_that_fits_or_does_not_tell_is_taken(arch: Arch | None) -> None:
    assert facts(RELEASE, kernel=KernelFacts(arch=arch)).arch is Arch.AMD64


@pytest.mark.parametrize("stub", [True, False, None])
def test_whether_uefi_can_start_the_kernel_is_a_fact_of_the_image(stub: bool | None) -> None:
    assert facts(kernel=KernelFacts(efi_stub=stub)).efi_stub is stub


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ('A="two words"', "two words"),
        ("A='single'", "single"),
        ('A="escaped \\" quote"', 'escaped " quote'),
        ("A=x # note", "x"),
        ('A="open', "open"),
        ("A=\x1b[31mred", " [31mred".strip()),
        ("A=", ""),
    ],
)
def test_values_are_unquoted_as_a_shell_would(line: str, value: str) -> None:
    assert parse_release(line) == {"A": value}


def test_lines_that_are_no_assignments_are_skipped() -> None:
    assert parse_release("# comment\n\nnonsense\n1A=x\nexport B=y\nC=z") == {"C": "z"}
