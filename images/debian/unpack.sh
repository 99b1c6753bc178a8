#!/bin/sh
# Unpack the packages of /debs into /out and make what their maintainer scripts would have made and is needed.
# Runs in a root that has busybox and nothing else; the same packages give the same tree.
#   PRUNE=1     leave out documentation, manuals and locales (copyright files stay)
#   USER_NAME, USER_ID   a user besides root and nobody
#   BASE=1      the tree is to stand alone: accounts, links of the merged /usr, /tmp
set -eu
set -o pipefail
umask 022
mkdir -p /out
cd /out
if [ "${BASE:-1}" = 1 ]; then
  mkdir -p usr/bin usr/sbin usr/lib usr/lib64 etc tmp proc sys dev run var/lib var/log var/cache root home
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
fi
mkdir -p var/lib/dpkg/status.d var/lib/dpkg/info usr/bin
for deb in /debs/*.deb; do
  mkdir -p /work/control
  cd /work
  ar x "$deb"
  if [ ! -f data.tar.xz ] || [ ! -f control.tar.xz ]; then
    echo "unpack: $deb holds no data.tar.xz and control.tar.xz; other compressions are not supported" >&2
    exit 1
  fi
  unxz -c data.tar.xz | tar -x -v -C /out > list
  unxz -c control.tar.xz | tar -x -C /work/control
  # The file's first line is `Package: NAME`.
  name=$(sed -n 's/^Package: //p' control/control)
  sed '/^Package:/a Status: install ok installed' control/control > "/out/var/lib/dpkg/status.d/$name"
  if [ -f control/md5sums ]; then cp control/md5sums "/out/var/lib/dpkg/status.d/$name.md5sums"; fi
  # As dpkg keeps it: md5sums name neither links nor configuration files, and each of them has an owner too.
  sed -e 's,^\./*,/,' -e 's,\(.\)/$,\1,' -e 's,^/$,/.,' list > "/out/var/lib/dpkg/info/$name.list"
  rm -rf /work/control /work/list /work/data.tar.xz /work/control.tar.xz /work/debian-binary
done
cd /out

if [ -d usr/share/ca-certificates ]; then
  mkdir -p etc/ssl/certs
  find usr/share/ca-certificates -name '*.crt' | LC_ALL=C sort | while read -r certificate; do
    cat "$certificate"
    echo
  done > etc/ssl/certs/ca-certificates.crt
fi
link() { # link TARGET NAME: only where the target is there and the name is not
  if [ -e "./$1" ] && [ ! -e "./$2" ] && [ ! -L "./$2" ]; then ln -s "/$1" "$2"; fi
}
link usr/bin/python3.13 usr/bin/python3
link usr/bin/gcc usr/bin/cc
link usr/bin/gawk usr/bin/awk
link usr/bin/dash usr/bin/sh
if [ "${BASE:-1}" = 1 ]; then
  {
    echo 'root:x:0:0:root:/root:/sbin/nologin'
    echo 'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin'
    if [ -n "${USER_NAME:-}" ]; then echo "$USER_NAME:x:$USER_ID:$USER_ID::/app:/sbin/nologin"; fi
  } > etc/passwd
  {
    echo 'root:x:0:'
    echo 'nogroup:x:65534:'
    if [ -n "${USER_NAME:-}" ]; then echo "$USER_NAME:x:$USER_ID:"; fi
  } > etc/group
  echo 'hosts: files dns' > etc/nsswitch.conf
  printf 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION="13 (trixie)"\nVERSION_CODENAME=trixie\nID=debian\n' > etc/os-release
  echo 13 > etc/debian_version
  if [ -e usr/share/zoneinfo/Etc/UTC ]; then ln -sf /usr/share/zoneinfo/Etc/UTC etc/localtime; fi
  chmod 1777 tmp
fi
if [ "${PRUNE:-0}" = 1 ]; then
  rm -rf usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug usr/share/doc-base \
    usr/share/bash-completion usr/share/menu usr/share/applications usr/share/pixmaps usr/lib/python3.13/test \
    usr/share/zoneinfo/right usr/share/gcc usr/share/gdb usr/share/python3 usr/share/binfmts
  # A Dagger engine with CAs of its own runs update-ca-certificates where it finds it, and fails where there is no shell.
  rm -f usr/sbin/update-ca-certificates usr/bin/tini-static usr/bin/pydoc3.13 usr/bin/pygettext3.13
  find usr/share/doc -type f ! -name copyright -exec rm -f {} + 2>/dev/null || true
  find usr/share/doc -type l -exec rm -f {} + 2>/dev/null || true
  find usr/share/doc -depth -type d -exec rmdir {} + 2>/dev/null || true
fi
# Nothing here is to gain rights, and the modes of folders must not depend on which package came last.
find . -type f -perm /6000 -exec chmod u-s,g-s {} +
find . -type d ! -path ./tmp -exec chmod 755 {} +
rm -rf /work
