"""A user without a name: a number that the machine's list of users lacks, as containers give one."""

import os
import pwd
from typing import Any


def is_nameless() -> bool:
    """Whether no name belongs to the number of this process' user."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return True
    return False


def log_in(jvm: Any) -> None:
    """Tell Hadoop, in the JVM behind pyspark's view `jvm`, who its user is.

    It asks the system for the user's name by itself, and does not start where there is none. The name is
    HADOOP_USER_NAME's or SPARK_USER's, else the user's number.
    """
    name = os.environ.get("HADOOP_USER_NAME") or os.environ.get("SPARK_USER") or str(os.getuid())
    users = jvm.org.apache.hadoop.security.UserGroupInformation
    users.setLoginUser(users.createRemoteUser(name))
