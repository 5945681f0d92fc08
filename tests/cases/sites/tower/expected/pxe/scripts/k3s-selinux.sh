#!/bin/sh
# k3s-selinux.sh: layers the SELinux policy of k3s on the image, and reboots into it, once. Run by k3s-selinux.service
# until the package is there; then it leaves the stamp that k3s-install.service waits for, and starts that.
set -eu

stamp=/var/lib/pxe-serve/k3s-selinux
rebooted=/var/lib/pxe-serve/k3s-selinux-rebooted

if rpm --query --quiet k3s-selinux; then
    : >"$stamp"
    # Its own turn at this boot may be over.
    systemctl start --no-block k3s-install.service
    exit 0
fi

if [ -e "$rebooted" ]; then
    echo "k3s-selinux.sh: the node has rebooted for k3s-selinux, and it is not in the running system; it does not reboot again (rpm-ostree status says what is; rm $rebooted lets it)" >&2
    exit 1
fi

/usr/local/bin/pxe-serve-report layering || true

# k3s' own repository of packages, as its install.sh writes it for coreos; each package is signed.
cat >/etc/yum.repos.d/rancher-k3s-common.repo <<'REPO'
[rancher-k3s-common-stable]
name=Rancher K3s Common (stable)
baseurl=https://rpm.rancher.io/k3s/stable/common/coreos/noarch
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=https://rpm.rancher.io/public.key
REPO

# Both options for a try that comes after another: asked for already, or in the image by now, is good.
rpm-ostree install --idempotent --allow-inactive -y k3s-selinux

# On the disk before the reboot, so that there is never a second one.
: >"$rebooted"
sync "$rebooted"
/usr/local/bin/pxe-serve-report rebooting "k3s-selinux is layered" || true
systemctl --no-block reboot
