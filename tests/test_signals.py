import os
import signal
import threading
import time

import pytest

from job.signals import terminated_as_interrupted


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


def test_in_another_thread_nothing_changes():
    said = []

    def work() -> None:
        with terminated_as_interrupted():
            said.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [signal.getsignal(signal.SIGTERM)]
