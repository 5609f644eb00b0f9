#!/bin/sh
# Runs on the host, as mmdebstrap's customize hook, with the unpacked root as $1: boot images,
# initrd, and the removal of all that is large, or differs between two builds.
set -eu
root=$1
version=$(ls "$root/usr/lib/modules")
lib=/usr/lib/kairos-standin

# --- GRUB's two images, made here because grub-install takes a minute under emulation.
mkdir -p "$root$lib/boot"
cat > "$root/tmp/early.cfg" <<'EOF'
search.fs_label COS_STATE root
set prefix=($root)/grub2
EOF
modules="part_gpt ext2 search_label normal configfile linux echo test serial terminal reboot"
# shellcheck disable=SC2086
chroot "$root" grub-mkimage -O i386-pc -p /grub2 -c /tmp/early.cfg \
    -o $lib/boot/core.img biosdisk $modules
# shellcheck disable=SC2086
chroot "$root" grub-mkimage -O x86_64-efi -p /grub2 -c /tmp/early.cfg \
    -o $lib/boot/bootx64.efi fat $modules
cp "$root/usr/lib/grub/i386-pc/boot.img" "$root$lib/boot/boot.img"
rm "$root/tmp/early.cfg"

# --- Modules for hardware that no test machine has (the initrd is made after this).
for part in arch/x86/kvm virt drivers/cpufreq drivers/comedi drivers/infiniband drivers/target drivers/soundwire drivers/iio \
    drivers/isdn drivers/media drivers/staging drivers/mtd drivers/usb/gadget \
    fs/ocfs2 fs/gfs2 fs/ceph fs/cifs fs/smb fs/afs fs/coda fs/dlm fs/jfs fs/nilfs2 fs/reiserfs \
    fs/ntfs3 fs/hfs fs/hfsplus fs/orangefs fs/ubifs fs/jffs2 fs/nfs fs/nfsd fs/lockd \
    fs/btrfs fs/xfs fs/f2fs net/mac80211 net/wireless net/bluetooth net/sctp net/tipc net/rds \
    net/sunrpc net/ceph net/openvswitch net/batman-adv net/dccp net/smc net/9p net/netfilter/ipset \
    net/netfilter/ipvs; do
    rm -rf "$root/usr/lib/modules/$version/kernel/$part"
done
chroot "$root" depmod "$version"

# --- The initrd, as Kairos makes it; 11-ifcfg.conf asks for a module that breaks network-legacy.
rm -f "$root/etc/dracut.conf.d/11-ifcfg.conf" "$root"/boot/initrd* "$root"/boot/System.map-*
mkdir -p "$root/usr/lib/dracut/modules.d/99standin-resolv"
cat > "$root/usr/lib/dracut/modules.d/99standin-resolv/module-setup.sh" <<'EOF'
#!/bin/bash
# The name servers that DHCP gave the initrd, kept for the live system.
check() { return 255; }
install() { inst_hook pre-pivot 50 "$moddir/keep-resolv.sh"; }
EOF
cat > "$root/usr/lib/dracut/modules.d/99standin-resolv/keep-resolv.sh" <<'EOF'
#!/bin/sh
[ -s /etc/resolv.conf ] && cp /etc/resolv.conf "$NEWROOT/etc/resolv.conf"
:
EOF
# Measured under emulation: dash as sh and no systemd in the initrd save a tenth of the CPU time of
# a boot; zstd unpacks fast and is small enough for iPXE.
chroot "$root" dracut --quiet --force --no-hostonly --reproducible --no-early-microcode \
    --compress "zstd -12 -q -T1" \
    --add "dash network-legacy livenet dmsquash-live standin-resolv" \
    --omit "systemd systemd-initrd dracut-systemd overlay-root terminfo qemu qemu-net btrfs crypt \
dmraid lvm mdraid multipath nfs nbd iscsi fcoe fcoe-uefi cifs bluetooth resume nvdimm plymouth \
lunmask virtfs virtiofs i18n" \
    /boot/initrd "$version"
ln -sfn "/boot/vmlinuz-$version" "$root/boot/vmlinuz"

# --- What was needed only to build.
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge --auto-remove \
    grub-pc-bin grub-efi-amd64-bin grub-common zstd > /dev/null

# --- Files that an upper layer hides: proof that whiteouts and opaque directories are honoured.
mkdir -p "$root$lib/checks/opaque"
echo "an upper layer removes this file" > "$root$lib/checks/removed-by-whiteout"
echo "an upper layer makes its directory opaque" > "$root$lib/checks/opaque/below"

# --- Byte code that depends on no time stamp: the layer's clamped times would make it stale.
for part in test unittest pydoc_data lib2to3 distutils idlelib ensurepip turtledemo tkinter; do
    rm -rf "$root/usr/lib/python3.11/$part"
done
find "$root/usr/lib/python3" "$root/usr/lib/python3.11" -name __pycache__ -exec rm -rf {} +
chroot "$root" python3 -m compileall -q --invalidation-mode unchecked-hash \
    /usr/lib/python3.11 /usr/lib/python3 || true

# --- What differs between hosts and builds, and what nobody reads.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/hostname \
    "$root"/etc/*- "$root"/usr/lib/udev/hwdb.d "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/* \
    "$root"/var/cache/ldconfig/* "$root"/var/log/* "$root"/var/lib/dpkg/*-old \
    "$root"/var/lib/systemd/catalog "$root"/usr/share/locale "$root"/usr/share/man \
    "$root"/usr/share/doc "$root"/usr/share/grub "$root"/tmp/* "$root"/var/tmp/*
: > "$root/etc/machine-id"
: > "$root/etc/resolv.conf"
rm -f "$root/var/lib/dbus/machine-id"
