"""The keys Kairos knows (docs/kairos.md). Others may be: only near misses are told."""

from __future__ import annotations

# sdk/schema/root_schema.go, what providers add, and what yip takes of cloud-init's keys.
TOP_KEYS = (
    "arch",
    "bind-pcrs",
    "bundles",
    "cloud-init-paths",
    "config_url",
    "cosign",
    "cosign-key",
    "debug",
    "eject-cd",
    "env",
    "extensions",
    "fail_on_bundles_errors",
    "fullcloudconfig",
    "growpart",
    "grub_options",
    "hostname",
    "install",
    "k0s",
    "k0s-worker",
    "k3s",
    "k3s-agent",
    "kcrypt",
    "kubevip",
    "logs",
    "name",
    "options",
    "p2p",
    "phonehome",
    "platform",
    "reset",
    "runcmd",
    "squash-compression",
    "squash-no-compression",
    "ssh_authorized_keys",
    "stages",
    "strict",
    "uki-max-entries",
    "upgrade",
    "users",
    "verify",
    "write_files",
)

# sdk/types/install/install.go and what the agent's InstallSpec reads besides.
INSTALL_KEYS = (
    "allow-insecure-registries",
    "auto",
    "bind_mounts",
    "bundles",
    "cloud-init",
    "device",
    "encrypted_partitions",
    "env",
    "ephemeral_mounts",
    "extra-dirs-rootfs",
    "extra-partitions",
    "firmware",
    "force",
    "grub-entry-name",
    "grub_options",
    "iso",
    "no-format",
    "nousers",
    "oem_files",
    "part-table",
    "partitions",
    "passive",
    "poweroff",
    "reboot",
    "recovery-system",
    "selinux",
    "skip_copy_kcrypt_plugin",
    "source",
    "ssh_hardening",
    "system",
    "tty",
)

INSTALL_FLAGS = (
    "allow-insecure-registries",
    "auto",
    "force",
    "no-format",
    "nousers",
    "poweroff",
    "reboot",
    "skip_copy_kcrypt_plugin",
    "ssh_hardening",
)

GRUB_OPTIONS = (
    "default_fallback",
    "default_menu_entry",
    "extra_active_cmdline",
    "extra_cmdline",
    "extra_passive_cmdline",
    "extra_recovery_cmdline",
    "next_entry",
    "saved_entry",
)

_BOOT_STAGES = ("rootfs", "initramfs", "boot", "fs", "network", "reconcile")
_ACTIONS = ("install", "upgrade", "reset")

STAGES = (
    *(name + suffix for name in _BOOT_STAGES for suffix in ("", ".before", ".after")),
    *(f"{when}-{action}" for when in ("before", "after") for action in _ACTIONS),
    *(f"after-{action}-chroot" for action in _ACTIONS),
    *(f"kairos-{action}.{when}" for action in _ACTIONS for when in ("pre", "after")),
    *(f"kairos-uki-{action}.{when}" for action in _ACTIONS for when in ("pre", "after")),
    "kairos-agent.bootstrap",
)
