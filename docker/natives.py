"""Takes native libraries out of jars, for this machine: `natives.py JARS FOLDER`.

From a jar each JVM would write them to /tmp and load them there, which a /tmp without the right to execute refuses.
"""

import platform
import sys
import zipfile
from pathlib import Path

JAVA, NETTY = {"x86_64": ("amd64", "x86_64"), "aarch64": ("aarch64", "aarch_64")}[platform.machine()]
WANTED = {
    "lz4-java-1.8.0.jar": (f"net/jpountz/util/linux/{JAVA}/liblz4-java.so", "liblz4-java.so"),
    "snappy-java-1.1.10.8.jar": (
        f"org/xerial/snappy/native/Linux/{platform.machine()}/libsnappyjava.so",
        "libsnappyjava.so",
    ),
    "zstd-jni-1.5.7-6.jar": (f"linux/{JAVA}/libzstd-jni-1.5.7-6.so", "libzstd-jni.so"),
    f"netty-transport-native-epoll-4.2.7.Final-linux-{NETTY}.jar": (
        f"META-INF/native/libnetty_transport_native_epoll_{NETTY}.so",
        f"libnetty_transport_native_epoll_{NETTY}.so",
    ),
}

jars, folder = map(Path, sys.argv[1:])
folder.mkdir(parents=True)
for jar, (entry, name) in WANTED.items():
    (folder / name).write_bytes(zipfile.ZipFile(jars / jar).read(entry))
    (folder / name).chmod(0o755)
