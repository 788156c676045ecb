#!/usr/bin/env bash
# Removes Debian packages by exact names (`leave_out_debian.sh LIST`), what is left of documentation and translations
# but for the licences, and what holds the time of the build.
set -euo pipefail
mapfile -t names < <(sed '/^#/d' "$1")
for name in "${names[@]}"; do
  dpkg -s "$name" >/dev/null || { printf '%s: %s is not installed\n' "$1" "$name" >&2; exit 1; }
done
cp -a /var/lib/dpkg/info /tmp/info # some scripts of theirs want what was removed before them
rm -f /var/lib/dpkg/info/*.{prerm,postrm,postinst,preinst}
dpkg --purge --force-depends --force-remove-essential --force-remove-protected "${names[@]}" 2>/dev/null >/tmp/purged \
  || { tail /tmp/purged; exit 1; }
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -type d -empty -delete
rm -rf /usr/share/{bash-completion,doc-base,info,lintian,locale,man,perl5,pixmaps} /usr/share/doc/*/examples \
  /tmp/* /var/cache/* /var/log/* /var/lib/apt /etc/apt /etc/cron* /etc/logrotate.d /etc/systemd /lib/systemd \
  /var/lib/dpkg/*-old /var/lib/dpkg/info/*.{list,md5sums,triggers,shlibs,symbols,templates,conffiles} /etc/*- \
  /var/backups /etc/.pwd.lock
# converters to other character sets, a second tini and zstd, parts of Python that explain, test or install it
rm -r /usr/lib/*-linux-gnu/gconv /usr/bin/localedef /usr/bin/pzstd /usr/bin/tini-static
cd /usr/lib/python3.11
rm -r lib-dynload/_dbm.*.so pydoc_data test turtle.py
find . -name __pycache__ -prune -exec rm -r {} +
PYTHONHASHSEED=0 python3 /src/bytecode.py .
