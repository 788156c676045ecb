import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from job.signals import answered_later, terminated_as_interrupted, told_to_end


def end_this_process() -> None:
    """Sends it the signal, and waits for what it does."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)


def test_a_process_that_is_told_to_end_is_interrupted_as_by_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        end_this_process()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_does_not_disturb_what_cleans_up_after_the_first():
    cleaned = []

    def work() -> None:
        try:
            end_this_process()
        finally:
            end_this_process()
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        work()
    assert cleaned


def test_what_must_not_be_half_done_is_done_before_a_signal_is_answered():
    done = []

    def work() -> None:
        with answered_later():
            end_this_process()
            done.append("first")
        done.append("second")

    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        work()
    assert done == ["first"]


def test_in_another_thread_nothing_changes():
    said = []

    def work() -> None:
        with terminated_as_interrupted():
            said.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [signal.getsignal(signal.SIGTERM)]


PROGRAM = """
import os, signal, sys, time
from job.signals import interrupted_after
ended = []
try:
    with interrupted_after(lambda: ended.append("ended")):
        try:
            os.kill(os.getpid(), int(sys.argv[1]))
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # no second interruption in the midst of cleaning up
            raise OSError("what the clean-up meets")
except KeyboardInterrupt as error:
    print(*ended, repr(error.__cause__))
print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_waited_for_is_ended_first_and_errors_of_that_are_the_interruption(number: signal.Signals):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["ended OSError('what the clean-up meets')", "True"], done.stderr


THROWN_AWAY = """
import os, signal, time
from job.signals import interrupted_after

class Thing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

class Other:
    def __del__(self):
        raise OSError("of another kind")

ended = []
try:
    with interrupted_after(lambda: ended.append("ended")):
        Thing()
        Other()
        raise OSError("what the end brings about")
except KeyboardInterrupt:
    print(*ended)
"""


def test_an_interruption_while_an_object_is_thrown_away_says_nothing_of_its_own():
    done = subprocess.run([sys.executable, "-c", THROWN_AWAY], capture_output=True, text=True, check=False)
    assert done.stdout == "ended\n"
    assert "KeyboardInterrupt" not in done.stderr
    assert "of another kind" in done.stderr


# ---- ends when it suits


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_block_is_told_to_end_and_ends_when_it_suits(number: signal.Signals):
    before = signal.getsignal(number)
    with told_to_end() as ending:
        begun = time.monotonic()
        ending.wait(0.02)
        assert not ending.told
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        ending.wait(60)
        assert ending.told
        assert time.monotonic() - begun < 30
    assert signal.getsignal(number) == before


def test_a_second_signal_ends_the_block_at_once():
    with told_to_end() as ending:
        end_this_process()
        assert ending.told
        with pytest.raises(KeyboardInterrupt):
            end_this_process()


def test_a_first_signal_that_ends_the_block_at_once_is_noted_by_whoever_takes_it_for_something_else():
    with told_to_end(at_once=True) as ending:
        with pytest.raises(KeyboardInterrupt):
            end_this_process()
        assert ending.told
        ending.wait(60)


def test_in_another_thread_nobody_is_told_to_end():
    found = []

    def work() -> None:
        with told_to_end() as ending:
            found.append((ending.told, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, signal.getsignal(signal.SIGTERM))]
