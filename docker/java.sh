#!/bin/sh
# Java with the archive of the classes that Spark loads (class data sharing). It is 200 MB, mostly pointers, and lies
# compressed in the image, in pieces: the first JVM of a container unpacks them side by side, in a fifth of a second, and
# every JVM starts some seconds sooner. Where /tmp can't be written, or with FRUITS_CLASSES=off, Java starts without it.
archive=/tmp/fruits-classes.jsa
if [ ! -e "$archive" ] && [ "${FRUITS_CLASSES-}" != off ]; then
  {
    started='' whole=yes
    for piece in /opt/java/lib/server/classes.*.zst; do
      place=${piece%.zst}
      zstd -qdc "$piece" | dd of="$archive.$$" bs=1M iflag=fullblock conv=notrunc seek="${place##*.}" &
      started="$started $!"
    done
    for one in $started; do wait "$one" || whole=no; done
    if [ "$whole" = yes ]; then mv "$archive.$$" "$archive"; else rm -f "$archive.$$"; fi
  } 2>/dev/null
fi
# Mapped where it was made for: elsewhere, which is Java's default as a hardening, all its pointers would be changed at
# each start, in a tenth of a second.
exec /opt/java/bin/java.bin -XX:+UnlockDiagnosticVMOptions -XX:ArchiveRelocationMode=0 "$@"
