#!/bin/sh
# Java with the archive of the classes that Spark loads (class data sharing). It is 160 MB, mostly pointers, and lies
# compressed in the image: the first JVM of a container unpacks it, in a quarter of a second, and every JVM starts some
# seconds sooner. Where /tmp can't be written, or with FRUITS_CLASSES=off, Java starts without it.
archive=/tmp/fruits-classes.jsa
if [ ! -e "$archive" ] && [ "${FRUITS_CLASSES-}" != off ]; then
  {
    if zstd -qdc /opt/java/lib/server/classes.jsa.zst >"$archive.$$"; then
      mv "$archive.$$" "$archive"
    else
      rm -f "$archive.$$"
    fi
  } 2>/dev/null
fi
exec /opt/java/bin/java.bin "$@"
