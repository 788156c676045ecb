"""Processes that predict, when they die on a picture, hang, can't start or are too late."""

import asyncio
import errno
import json
import multiprocessing.context
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from serving import MODEL, V1, alive, gone

from job import load_model
from job.errors import UserError
from job.model.predict import Rejection
from job.serve.line import Answer
from job.serve.worker import ASKED, SIZE, answer
from job.serve.workers import Started, Workers


def dies(line: socket.socket) -> None:
    line.sendall(answer("ready", b""))
    line.recv(1)
    os._exit(1)


def plays(line: socket.socket) -> None:
    """Tells of each picture how many it was asked about together; some pictures make it die or hang."""
    with line.makefile("rb") as asked:
        line.sendall(answer("ready", b""))
        while head := asked.read(ASKED.size):
            count = ASKED.unpack(head)[0]
            pictures = [asked.read(size) for (size,) in list(SIZE.iter_unpack(asked.read(count * SIZE.size)))]
            if b"die" in pictures:
                os._exit(1)
            time.sleep(600 if b"hang" in pictures else 0.05)
            line.sendall(b"".join(answer(f"{count} together", picture[:20]) for picture in pictures))


class Dying(Workers):
    """Its processes die on whatever they get."""

    started = 0
    target = staticmethod(dies)

    def _started(self) -> Started:
        self.started += 1
        here, there = socket.socketpair()
        process = self._context.Process(target=self.target, args=(there,), daemon=True)
        process.start()
        there.close()
        assert here.recv(100) == answer("ready", b"")
        return Started(process, here)


class Playing(Dying):
    """Its processes tell how many pictures they were asked about together."""

    target = staticmethod(plays)


def picture(name: str = "0.jpg") -> bytes:
    return (V1 / name).read_bytes()


def of_model(count: int) -> Workers:
    model = load_model(MODEL)
    return Workers(model.uri, model.digest, count)


def pids(workers: Workers) -> list[int]:
    return [started.process.pid for started in workers._processes]


def noted(workers: Workers) -> bool:
    """Whether the server knows that all its processes ended, which is waited for."""
    limit = time.monotonic() + 120
    while not (found := all(line.lost for line in list(workers._lines))) and time.monotonic() < limit:
        time.sleep(0.01)
    return found


async def kill_all(workers: Workers) -> None:
    """Ends all processes, and waits until the server knows it."""
    killed = pids(workers)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert await asyncio.to_thread(gone, killed)
    assert await asyncio.to_thread(noted, workers)


def asked(workers: Workers, *pictures: bytes) -> list[Answer | BaseException]:
    """What the processes say of pictures that are asked about together."""

    async def ask() -> list[Answer | BaseException]:
        async with workers.answering():
            found = [workers.predict(each, 1, Rejection()) for each in pictures]
            return await asyncio.gather(*found, return_exceptions=True)

    return asyncio.run(ask())


def test_a_picture_on_which_two_processes_die_is_called_crashed_and_costs_no_more() -> None:
    with Dying("", "", 1) as workers:
        (found,) = asked(workers, b"")
        assert workers.started == 2
    assert found.status == "crashed"
    assert json.loads(found.json)["reason"] == "The process that read the picture broke down."


def test_more_pictures_than_processes_get_each_its_own_answer() -> None:
    names = [f"{number % 3}.jpg" for number in range(30)]
    model = load_model(MODEL)
    with of_model(2) as workers:
        found = asked(workers, *map(picture, names))
    for name, each in zip(names, found, strict=True):
        expected, answered = model.predict(picture(name)), json.loads(each.json)
        assert answered["category"] == expected.category
        assert answered["probability"] == pytest.approx(expected.probability, abs=1e-9)


def test_processes_that_died_while_they_had_nothing_to_do_are_replaced() -> None:
    async def ask(workers: Workers) -> list[str]:
        async with workers.answering():
            await kill_all(workers)
            return [(await workers.predict(picture(), 1, Rejection())).status for _ in range(4)]

    with of_model(2) as workers:
        before = pids(workers)
        assert asyncio.run(ask(workers)) == ["ok"] * 4
        after = pids(workers)
        assert len(after) <= 2
        assert not set(before) & set(after)
    assert not any(map(alive, after))


def test_a_picture_that_hangs_does_not_keep_those_behind_it_from_other_processes() -> None:
    async def ask(workers: Workers) -> list[str]:
        async with workers.answering():
            os.kill(pids(workers)[0], signal.SIGSTOP)
            tasks = [asyncio.create_task(workers.predict(picture(), 1, Rejection())) for _ in range(8)]
            answered: set[asyncio.Task[Answer]] = set()
            async with asyncio.timeout(60):
                while len(answered) < 7:
                    answered, hanging = await asyncio.wait(tasks, timeout=0.05)
            await asyncio.sleep(0.2)
            assert not any(task.done() for task in hanging)
            for task in hanging:
                task.cancel()
            return [(await task).status for task in answered]

    with of_model(2) as workers:
        assert asyncio.run(ask(workers)) == ["ok"] * 7


def test_a_large_picture_goes_over_the_line_in_many_pieces() -> None:
    with of_model(1) as workers:
        large, small = asked(workers, bytes(20 << 20), picture())
    assert (large.status, small.status) == ("not_an_image", "ok")


def test_when_no_process_can_be_started_any_more_all_who_wait_are_told() -> None:
    class Once(Dying):
        def _started(self) -> Started:
            if self.started:
                raise UserError("The model is gone.")
            return super()._started()

    with Once("", "", 1) as workers:
        found = asked(workers, b"", b"", b"")
    assert [str(each) for each in found] == ["The model is gone."] * 3


def starved(error: Exception, times: int, then: Callable[..., Any]) -> Callable[..., Any]:
    """Fails so many times, as where the system has no processes, files or memory left, and then works."""

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal times
        times -= 1
        if times >= 0:
            raise error
        return then(*arguments, **named)

    return call


@pytest.mark.parametrize(
    ("where", "what", "error"),
    [
        (socket, "socketpair", OSError(errno.EMFILE, "Too many open files")),
        (multiprocessing.context.ForkServerProcess, "start", OSError(errno.EAGAIN, "Resource temporarily unavailable")),
        (multiprocessing.context.ForkServerProcess, "start", EOFError("unexpected EOF")),
        (asyncio, "to_thread", RuntimeError("can't start new thread")),
        (Workers, "_line", OSError(errno.EMFILE, "Too many open files")),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_a_process_that_could_not_be_started_is_started_by_a_later_request(
    where: Any, what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []
    pair = socket.socketpair

    def noted_pair(*arguments: Any) -> tuple[socket.socket, socket.socket]:
        made.extend(found := pair(*arguments))
        return found

    async def ask(workers: Workers) -> list[Answer]:
        async with workers.answering():
            await kill_all(workers)
            monkeypatch.setattr(socket, "socketpair", noted_pair)
            monkeypatch.setattr(where, what, starved(error, workers.count, getattr(where, what)))
            async with asyncio.timeout(60):
                asked = [workers.predict(picture(), 1, Rejection()) for _ in range(3)]
                for failed in await asyncio.gather(*asked, return_exceptions=True):
                    assert isinstance(failed, UserError)
                    assert failed.message.startswith("A process that predicts can't be started: ")
                assert not workers._processes
                assert {each.fileno() for each in made} <= {-1}
                return [await workers.predict(picture(), 1, Rejection()) for _ in range(3)]

    with of_model(2) as workers:
        assert [each.status for each in asyncio.run(ask(workers))] == ["ok"] * 3
        started = pids(workers)
        assert 1 <= len(started) <= 2
        assert workers._missing == 2 - len(started)
    assert gone(started)


def test_a_server_whose_processes_can_not_be_started_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket, "socketpair", starved(OSError(errno.EMFILE, "Too many open files"), 1, socket.socketpair)
    )
    with pytest.raises(UserError, match=r"can't be started: too many open files\. "), of_model(2):
        pass


def test_a_model_that_changed_is_not_served_by_new_processes() -> None:
    with pytest.raises(UserError, match="has changed since this server was started"), Workers(str(MODEL), "0" * 64, 1):
        pass


def test_a_picture_that_nobody_waits_for_any_more_is_not_begun() -> None:
    async def ask(workers: Workers) -> list[str]:
        async with workers.answering():
            os.kill(pids(workers)[0], signal.SIGSTOP)
            first, second = (asyncio.create_task(workers.predict(picture(), 1, Rejection())) for _ in range(2))
            await asyncio.sleep(0.1)
            second.cancel()
            await asyncio.sleep(0.1)
            os.kill(pids(workers)[0], signal.SIGCONT)
            return [(await first).status, (await workers.predict(picture(), 1, Rejection())).status]

    with of_model(1) as workers:
        assert asyncio.run(ask(workers)) == ["ok", "ok"]
        assert workers.restarts == 0


# ---- pictures that are asked about together


def said(found: list[Answer | BaseException]) -> list[tuple[str, bytes]]:
    assert all(isinstance(each, Answer) for each in found), found
    return [(each.status, each.json) for each in found if isinstance(each, Answer)]


def test_pictures_that_wait_are_asked_about_together_but_one_for_each_other_process() -> None:
    with Playing("", "", 1) as workers:
        one = said(asked(workers, *(b"%d" % number for number in range(8))))
    assert one == [(f"{1 if number == 0 else 4 if number < 5 else 3} together", b"%d" % number) for number in range(8)]
    with Playing("", "", 2) as workers:
        two = said(asked(workers, *(b"%d" % number for number in range(6))))
    assert [content for _, content in two] == [b"%d" % number for number in range(6)]
    assert [status for status, _ in two] == ["1 together"] * 2 + ["3 together"] * 3 + ["1 together"]


def test_pictures_of_many_bytes_and_of_other_settings_are_not_asked_about_together() -> None:
    async def ask() -> list[Answer]:
        async with workers.answering():
            wanted = [(b"first", 1), (b"one", 1), (b"one", 2), (b"large" + bytes(1 << 17), 2), (b"two", 3), (b"two", 3)]
            return await asyncio.gather(*(workers.predict(content, top_k, Rejection()) for content, top_k in wanted))

    with Playing("", "", 1) as workers:
        found = asyncio.run(ask())
    assert [each.status for each in found] == ["1 together"] * 4 + ["2 together"] * 2


def test_a_picture_that_crashes_costs_those_beside_it_nothing_but_time() -> None:
    with Playing("", "", 1) as workers:
        found = said(asked(workers, b"0", b"1", b"die", b"3", b"4", b"5"))
        assert workers.started == 4  # one died on the four of them, two on the one, the last one goes on
    crashed = found.pop(2)
    assert crashed[0] == "crashed"
    assert found == [("1 together", content) for content in (b"0", b"1", b"3", b"4", b"5")]


def test_a_picture_that_hangs_costs_those_beside_it_two_seconds() -> None:
    async def ask() -> list[Answer]:
        async with workers.answering():
            tasks = [
                asyncio.create_task(workers.predict(content, 1, Rejection()))
                for content in (b"0", b"1", b"2", b"hang", b"4", b"5")
            ]
            hanging = tasks.pop(3)
            async with asyncio.timeout(60):
                found = await asyncio.gather(*tasks)
            assert not hanging.done()
            hanging.cancel()
            return found

    with Playing("", "", 2) as workers:
        found = asyncio.run(ask())
    assert [each.json for each in found] == [b"0", b"1", b"2", b"4", b"5"]
