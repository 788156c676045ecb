import json
import os
import subprocess
import sys

import pytest

from job.storage.claims import Owner, is_abandoned, is_same, may_fall_silent, new_claim, renewal, this_process

HERE = Owner("node", 7, machine="m", boot="b", processes="pid:[1]", started="500")
POD = HERE._replace(place="pod in fruits", host="run-driver", pid=1)
CONTAINER = HERE._replace(place="/var/lib/docker/containers/abc/hosts", pid=1)


@pytest.mark.parametrize(
    ("owner", "here"),
    [
        (CONTAINER, CONTAINER._replace(processes="pid:[2]", started="900")),  # the container was started again
        (CONTAINER, CONTAINER._replace(boot="c", processes="pid:[2]")),  # with its machine
        (POD, POD._replace(processes="pid:[2]", started="900")),  # the pod was made again
        (POD, POD._replace(machine="n", boot="c", processes="pid:[2]")),  # on another machine
        (HERE, HERE._replace(boot="c")),  # the machine was started again
    ],
)
def test_owners_that_were_started_again_are_gone(owner: Owner, here: Owner):
    assert owner.is_gone(here)


@pytest.mark.parametrize(
    ("owner", "here"),
    [
        (HERE._replace(host="other"), HERE),
        # two containers on the network of their machine, each with its process 1
        (CONTAINER, CONTAINER._replace(place="/var/lib/docker/containers/def/hosts", processes="pid:[2]")),
        (CONTAINER, HERE),
        (HERE._replace(processes="pid:[2]", pid=1), HERE),  # in a sandbox of which nothing more is known
        (HERE._replace(boot="c", machine="n"), HERE),  # two machines that both call themselves `node`
        (HERE._replace(boot="c", machine=""), HERE._replace(machine="")),
        (POD._replace(place="pod in other"), POD),
    ],
)
def test_owners_that_may_be_alive_are_not_gone(owner: Owner, here: Owner):
    assert not owner.is_gone(here)


def test_a_process_is_gone_when_it_has_ended():
    here = this_process()
    other = subprocess.Popen(["sleep", "60"])
    living = here._replace(pid=other.pid, started=started(other.pid))
    assert not living.is_gone(here)
    other.kill()
    other.wait()
    assert living.is_gone(here)


def test_a_process_is_gone_when_another_has_its_number_now():
    here = this_process()
    parent = here._replace(pid=os.getppid(), started=started(os.getppid()))
    assert not parent.is_gone(here)
    assert parent._replace(started="1").is_gone(here)
    assert here._replace(started="1").is_gone(here)


def started(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[19]


def test_an_earlier_attempt_of_this_process_is_over():
    claims = [new_claim(), new_claim()]
    assert claims[0] != claims[1]
    assert all(is_abandoned(claim) for claim in claims)


@pytest.mark.parametrize("claim", [b"", b"[]", b"{}", b"\xff", json.dumps({"host": "node", "pid": 1}).encode()])
def test_what_is_no_claim_is_not_abandoned(claim: bytes):
    assert not is_abandoned(claim)


def test_a_claim_shows_who_works_there():
    found = json.loads(new_claim())
    assert found["pid"] == os.getpid()
    assert found["host"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells when a process was started")
def test_on_linux_the_start_of_the_machine_and_of_the_process_are_known():
    here = this_process()
    assert here.boot
    assert here.processes.startswith("pid:[")
    assert here.started.isdigit()


def test_a_claim_that_is_renewed_stays_the_same_claim():
    claim = new_claim(renewed=True)
    again = renewal(renewal(claim))
    assert again != claim
    assert is_same(again, claim)
    assert not is_same(again, new_claim(renewed=True))
    assert not is_same(b"{}", b"{}")


def test_only_silence_tells_of_an_owner_elsewhere_that_renews_its_claim():
    claim = new_claim(renewed=True)
    elsewhere = json.dumps({**json.loads(claim), "host": "other"}).encode()
    assert may_fall_silent(elsewhere)
    assert not may_fall_silent(claim)  # it can be looked for
    assert not may_fall_silent(json.dumps({**json.loads(new_claim()), "host": "other"}).encode())
    assert not may_fall_silent(b"no claim")
